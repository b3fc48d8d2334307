/**
 * A disk that was attached to the running VM only (FF-14): the record has no such disk, as with a
 * transient VM, and nothing is wrong.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { defineChain, diskXml } from '../../support/guest/shut-off-vm.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { contents } from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'attached' }));
const virsh = (...args: string[]) => system.host.virsh(...args);

it('A disk of the running VM alone is merged, and its record stays without it', async () => {
  const vm = 'hot';
  const pool = join(system.host.pools, POOL);
  const { chain } = await defineChain(system.host, vm, pool, 3);
  const [base = '', , top = ''] = chain;
  const [content] = await contents([top]);
  await virsh('detach-disk', vm, 'vdb', '--config');
  await virsh('start', vm);
  const device = join(system.host.root, 'hot.xml');
  await writeFile(device, diskXml(top));
  await virsh('attach-device', vm, device, '--live');
  const record = await virsh('dumpxml', vm, '--inactive');
  const left = ['--diskspec', 'vda,snapshot=no', '--no-metadata', '--disk-only'];
  const file = join(pool, 'hot-snap.qcow2');
  await virsh('snapshot-create-as', vm, ...left, '--diskspec', `vdb,file=${file}`);

  const result = await merged(system, { vm, disk: 'vdb' });

  expect(result).toMatchObject({ outcome: 'merged', mode: 'active', chainAfter: [base] });
  expect(await virsh('domblklist', vm)).toMatch(new RegExp(`vdb +${base}`));
  expect((await virsh('domstate', vm)).trim()).toBe('running');
  const without = (xml: string) => xml.replace(/\n *<metadata\/>/, '');
  expect(without(await virsh('dumpxml', vm, '--inactive'))).toBe(without(record));
  expect((await poolFiles(pool)).filter((name) => name.startsWith(vm))).toEqual(['hot-0.qcow2']);
  await virsh('destroy', vm);
  expect(await contents([base])).toEqual([content]);
});
