/**
 * What an operation does not keep, it tells, in its plan and with its result: reserved space
 * (FF-12), options of a header (FF-17), a snapshot's memory (FF-10), a link to the disk (FF-18).
 */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import {
  createImage,
  defineChain,
  defineShutOff,
  diskXml,
} from '../../support/guest/shut-off-vm.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { startMove, startMoveSystem } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'told' }));

const inPool = (name: string) => join(system.host.pools, POOL, name);
const image = (vm: string) => ({ kind: 'disk', vm, disk: 'vdb' }) as const;

async function defined(vm: string, more: { format?: string; options?: string }): Promise<string> {
  const file = await createImage(inPool(`${vm}.img`), more);
  await defineShutOff(system.host, vm, diskXml(file, more.format));
  await execa('sync', [file]);
  return file;
}

it.each<[string, { format?: string; options?: string }]>([
  ['raw', { format: 'raw', options: 'preallocation=falloc' }],
  ['qcow2', { options: 'preallocation=falloc' }],
])('a move tells that space is not reserved any more: %s', async (vm, more) => {
  const file = await defined(`space-${vm}`, more);
  const { warnings } = await (await startMove(system, { image: image(`space-${vm}`) })).result();
  expect(warnings).toEqual([expect.stringContaining(`reserved for ${file} are not reserved`)]);
});

it.each([
  ['compat=0.10'],
  ['cluster_size=2097152'],
  ['extended_l2=on'],
  ['lazy_refcounts=on'],
  ['refcount_bits=1'],
  ['compression_type=zstd'],
])('a conversion tells that it does not keep %s', async (options) => {
  const vm = options.replace(/=.*/, '');
  await defined(vm, { options });
  const move = await startMove(system, { image: image(vm), preallocation: 'metadata' });
  const { warnings } = await move.result();
  expect(warnings).toEqual([expect.stringContaining(`does not keep ${options}`)]);
});

it('says nothing of an image that has nothing special', async () => {
  const file = await defined('plain', {});
  await execa('qemu-io', ['-f', 'qcow2', '-c', 'write 1M 5M', file]);
  await execa('sync', [file]);
  const move = await startMove(system, { image: image('plain') });
  expect((await move.result()).warnings).toEqual([]);
});

it('a merge names the file with the memory of a snapshot that goes', async () => {
  await defined('memory', {});
  await system.host.virsh('start', 'memory', '--paused');
  const memory = inPool('memory.mem');
  const disks = ['--diskspec', 'vda,snapshot=no', '--diskspec', `vdb,file=${inPool('memory.m1')}`];
  await system.host.virsh(
    ...['snapshot-create-as', 'memory', 'm1', '--memspec', `file=${memory}`, '--live', ...disks],
  );
  await system.host.virsh('destroy', 'memory');
  const { warnings } = await merged(system, { vm: 'memory', disk: 'vdb' });
  expect(warnings).toEqual([expect.stringContaining(`memory of snapshot m1 stays in ${memory}`)]);
  // By what else would a user, or a deletion of the snapshot, find that file again?
  const record = await system.host.virsh('snapshot-dumpxml', 'memory', 'm1');
  expect(record).toContain(`<memory snapshot='external' file='${memory}'/>`);
  expect(record).not.toContain(inPool('memory.m1'));
});

it('a merge tells of a link to the disk that leads nowhere afterwards', async () => {
  const { chain } = await defineChain(system.host, 'target', inPool(''), 2);
  await system.host.virsh('undefine', 'target');
  const link = inPool('disk.0');
  await symlink(chain[1] ?? '', link);
  await defineShutOff(system.host, 'linked', diskXml(link));
  const { warnings } = await merged(system, { vm: 'linked', disk: 'vdb' });
  expect(warnings).toEqual([expect.stringContaining(`${link} is a link to ${chain[1]}`)]);
});
