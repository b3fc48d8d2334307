/** What a revert would discard, and something else still needs. */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createImage, defineShutOff, diskXml, redefine } from '../../support/guest/shut-off-vm.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { ownFiles, revertTo } from '../../support/scenes/revert-scene.ts';
import { sourcesOf, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'discarded' }));
let count = 0;
let vm: string;
let base: string;
beforeEach(async () => {
  vm = `needed${++count}`;
  base = await createImage(join(system.host.pools, POOL, `${vm}.qcow2`));
  await defineShutOff(system.host, vm, diskXml(base));
  await take('s1');
});

const take = (name: string) => takeSnapshot(system, { vm, name, disks: ['vdb'] });
const active = async () => (await sourcesOf(system, vm, '--inactive'))['vdb'] ?? '';
const look = async () => [await active(), await ownFiles(system, vm)];

async function expectRefused(code: string, more: object = { name: 's1' }) {
  const before = await look();
  const failure = await failureOf(revertTo(system, { vm, ...more }));
  expect(failure).toMatchObject({ type: 'Refused', code });
  expect(await look()).toEqual(before);
  return failure;
}

async function putOn(path: string): Promise<void> {
  const now = await active();
  await redefine(system.host, vm, (xml) => xml.replace(now, path));
}

describe('A layer is not discarded', () => {
  it('that a clone stands on, by a revert nor by an undo: shared-base', async () => {
    const clone = await createImage(join(system.host.pools, POOL, `${vm}-clone.qcow2`), {
      below: await active(),
    });
    expect((await expectRefused('shared-base')).now).toContain(clone);
    // As the message says.
    const needed = await active();
    await take('s2');
    await revertTo(system, { vm, name: 's1' });
    expect(await ownFiles(system, vm)).toContain(basename(needed));
    await rm(clone);
    const other = await createImage(clone, { below: await active() });
    expect((await expectRefused('shared-base', { undo: true })).now).toContain(other);
  });

  it('that another VM has as its disk: volume-in-use', async () => {
    await defineShutOff(system.host, `${vm}-other`, diskXml(await active()));
    expect((await expectRefused('volume-in-use')).now).toContain(`VM ${vm}-other`);
  });

  it('that has snapshots inside: internal-snapshots', async () => {
    await system.host.virsh('snapshot-create-as', vm, 'inside');
    expect((await expectRefused('internal-snapshots')).now).toContain('inside');
  });

  it('that a snapshot goes back to, as after `virsh edit`: shared-base', async () => {
    const overlay = await active();
    await putOn(base);
    await expectRefused('shared-base');
    await rm(overlay);
    expect((await expectRefused('shared-base')).now).toContain('snapshot s1');
  });
});
