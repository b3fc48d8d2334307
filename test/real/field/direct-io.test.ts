/**
 * A disk that QEMU opens past the page cache, and a file system that cannot do that: the copy would
 * be whole, and the VM would not start from it.
 */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { createImage, defineShutOff, diskXml, redefine } from '../../support/guest/shut-off-vm.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { digests, startMove, startMoveSystem } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

const buffered = use('a file system without O_DIRECT', () => mountOwn('ramfs', 64));
const system = useSystem(() => startMoveSystem({ name: 'direct' }));
beforeAll(async () => {
  await system.host.definePool('buffered', buffered.path);
  await system.killRole('spm');
  await system.startRole('spm');
});

/** Down, with one disk of that cache mode. */
async function define(vm: string, mode: string): Promise<string> {
  const file = await createImage(join(system.host.pools, POOL, `${vm}.qcow2`));
  await defineShutOff(system.host, vm, diskXml(file));
  const driver = /(<driver name='qemu' type='\w+')(?: cache='\w+')?/g;
  await redefine(system.host, vm, (xml) => xml.replace(driver, `$1 cache='${mode}'`));
  return file;
}
const start = (vm: string) => system.host.virsh('start', vm, '--paused');
const move = async (vm: string, to: string) =>
  (await startMove(system, { image: { kind: 'disk', vm, disk: 'vdb' }, to })).result();

it.each(['none', 'directsync'])('no-direct-io: a disk with cache %s stays', async (mode) => {
  const file = await define(mode, mode);
  const before = await digests([file]);
  for (const isRunning of [false, true]) {
    if (isRunning) await start(mode);
    const failure = await failureOf(move(mode, 'buffered'));
    expect([failure.type, failure.code]).toEqual(['Refused', 'no-direct-io']);
    expect(failure.now).toContain(`cache='${mode}'`);
  }
  await system.host.virsh('destroy', mode);
  expect(await digests([file])).toEqual(before);
  // The reason for it: QEMU opens no such file.
  const there = join(buffered.path, `${mode}-by-hand.qcow2`);
  await copyFile(file, there);
  await redefine(system.host, mode, (xml) => xml.replaceAll(file, there));
  await expect(start(mode)).rejects.toThrow(/O_DIRECT/);
});

it('asks no disk with another mode for it', async () => {
  await define('cached', 'writeback');
  // ramfs says that it has no space at all.
  expect((await failureOf(move('cached', 'buffered'))).code).toBe('not-enough-space');
});

it.each(['none', 'directsync'])('a disk with cache %s moves where there is', async (mode) => {
  await define(`${mode}-moved`, mode);
  expect(await move(`${mode}-moved`, 'vault')).toMatchObject({ outcome: 'moved' });
  await start(`${mode}-moved`);
  await system.host.virsh('destroy', `${mode}-moved`);
});
