/**
 * A pool whose file system is not mounted is not a new pool: nothing is written into the empty
 * folder, and what is asked for waits until the file system is back.
 */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { observeHosts } from '../../../activities/pool-folder/hosts.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import {
  defineOff,
  digests,
  diskOf,
  removalOf,
  startMove,
  startMoveSystem,
} from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { HOST } from '../../support/host/system.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

const FAR = 'far';
const mount = use('the mount', () => mountOwn('ext4', 64));
const other = use('the other mount', () => mountOwn('ext4', 64));
const system = useSystem(() => startMoveSystem({ name: 'unmounted' }));
beforeAll(async () => {
  await system.host.definePool(FAR, mount.path);
  await untilKnown(mount.path);
});

/** The host's name is the last that its agent writes into a pool that it has just met. */
const untilKnown = (folder: string) =>
  waitUntil(`${folder} to be known`, async () => (await observeHosts(folder)).includes(HOST));

const deviceOf = async (path: string) =>
  (await execa('findmnt', ['-n', '-o', 'SOURCE', path])).stdout;

/**
 * All agents look at their pools when they start. None is at work in the pool at the moment of the
 * change: that one would leave an empty folder of ours (docs/limits.md).
 */
async function restartAgents(change: () => Promise<unknown>): Promise<void> {
  for (const role of ['host', 'spm'] as const) await system.killRole(role);
  await change();
  for (const role of ['host', 'spm'] as const) await system.startRole(role);
}

/** A move to the pool waits, says why, and ends in its file system once that is mounted. */
async function expectWaits(vm: string, why: string, comeBack: () => Promise<unknown>) {
  const file = await defineOff(system, vm, { bytes: 2 ** 20 });
  const before = await digests([file]);
  const move = await startMove(system, { image: diskOf(vm), to: FAR });
  const waits = ({ phase }: { phase: string }) => phase === 'waiting for the pool';
  const { note } = await untilStatus(move, 'to wait for the pool', waits);
  expect(note).toContain(why);
  expect(note).toContain('Mount its file system again');
  await comeBack();
  const result = await move.result();
  expect(result).toMatchObject({ outcome: 'moved' });
  await removalOf(system, result);
  expect(await digests([join(mount.path, basename(file))])).toEqual(before);
}

it('gets no id and no lease, also of agents that start; a move waits for it', async () => {
  const device = await deviceOf(mount.path);
  await restartAgents(() => execa('umount', ['--lazy', mount.path]));
  await expectWaits('gone', 'does not hold the pool that was there', async () => {
    expect(await readdir(mount.path)).toEqual([]);
    await execa('mount', [device, mount.path]);
  });
});

it('is not taken for the pool of another file system that is mounted there', async () => {
  const [own, foreign] = [await deviceOf(mount.path), await deviceOf(other.path)];
  await system.host.definePool('other', other.path);
  await untilKnown(other.path);
  await restartAgents(async () => {
    await execa('umount', ['--lazy', mount.path]);
    await execa('mount', [foreign, mount.path]);
  });
  await expectWaits('replaced', 'holds another pool', async () => {
    await execa('umount', ['--lazy', mount.path]);
    await execa('mount', [own, mount.path]);
  });
});
