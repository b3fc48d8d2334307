/**
 * A pool that becomes unavailable and comes back: its file system stands still, or libvirt has it
 * inactive. Five seconds; with BLOCKFLOW_ALL_CASES also longer than a minute, and than three at the
 * pivot.
 */
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { statusQuery } from '../../../workflows/kinds.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { runsAllCases, sample } from '../../support/sample.ts';
import { startDeltaScene } from '../../support/scenes/transfer/delta-scene.ts';
import { expectMerged, untilPhase } from '../../support/scenes/merge-proofs.ts';
import { untilCopying } from '../../support/scenes/copying.ts';
import { POOL, startSharedSystem, type Scene } from '../../support/scenes/merge-scene.ts';
import {
  copiers,
  defineOff,
  digests,
  diskOf,
  removalOf,
  startMove,
} from '../../support/scenes/transfer/move-scene.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use, useEach } from '../../support/use.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

const MIB = 2 ** 20;
let thaw: (() => Promise<void>) | undefined;
let count = 0;

afterEach(() => thaw?.());
const mount = use('the mount', () => mountOwn('ext4', 128));
const system = useSystem(() => startSharedSystem({ name: 'away' }));
const forTest = useEach();
beforeAll(() => system.host.definePool('far', mount.path));

/** No process can write to pool `far` for so long. */
async function away(seconds: number): Promise<void> {
  await freeze();
  await sleep(seconds * 1000);
  await comeBack();
}
async function freeze(): Promise<void> {
  thaw = await mount.freeze();
}
async function comeBack(): Promise<void> {
  await thaw?.();
  thaw = undefined;
}

/** A running guest whose base is in pool `far`. */
const farBase = (bytes: number): Promise<Scene> =>
  forTest(startDeltaScene(system, { vm: `far${++count}`, bytes, baseFolder: mount.path }));
/** A move to pool `far` that copies. */
async function startFarMove() {
  const vm = `moved${++count}`;
  const file = await defineOff(system, vm, { bytes: 24 * MIB });
  const before = await digests([file]);
  const limit = { bandwidthBytesPerSecond: 2 * MIB };
  const move = await startMove(system, { image: diskOf(vm), to: 'far', ...limit });
  await waitUntil('the copy', async () => (await copiers(system)).length > 0);
  const expectMoved = async () => {
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'moved', verified: true });
    await removalOf(system, result);
    expect(await digests([join(mount.path, basename(file))])).toEqual(before);
  };
  return { move, expectMoved };
}
const isRunning = async ({ guest }: Scene) =>
  expect((await system.host.virsh('domstate', guest.name)).trim()).toBe('running');
const copied = async (vm: string) => {
  const info = await system.host.virsh('blockjob', vm, 'vda', '--raw');
  return Number(/cur=(\d+)/.exec(info)?.[1] ?? 0);
};

const AT_PIVOT = 'while a merge waits for nothing but its pivot';
const cases = {
  async 'under the copy of a merge'(seconds: number) {
    const here = await farBase(40 * MIB);
    const { name: vm } = here.guest;
    const merge = await system.merge({ vm, disk: 'vda', bandwidthBytesPerSecond: MIB });
    await untilCopying(here);
    await waitUntil('the copy', async () => (await copied(vm)) > 0);
    await away(seconds);
    await isRunning(here);
    await merge.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(here, merge);
  },
  async [AT_PIVOT](seconds: number) {
    const here = await farBase(MIB);
    const merge = await system.merge({
      vm: here.guest.name,
      disk: 'vda',
      waitForDecision: true,
    });
    await untilPhase(merge, 'waiting for a decision');
    await freeze();
    await merge.executeUpdate('decide', { args: ['pivot'] });
    await untilPhase(merge, 'pivoting');
    await sleep(seconds * 1000);
    await comeBack();
    await expectMerged(here, merge);
  },
  async 'under the copy of a move'(seconds: number) {
    const { move, expectMoved } = await startFarMove();
    await away(seconds);
    await move.executeUpdate('bandwidth', { args: [0] });
    await expectMoved();
    expect(await copiers(system)).toEqual([]);
  },
  async 'under the copy of a move, inactive in libvirt'(seconds: number) {
    const { move, expectMoved } = await startFarMove();
    await system.host.virsh('pool-destroy', 'far');
    await move.executeUpdate('bandwidth', { args: [0] });
    await untilStatus(move, 'the naming', ({ phase }) => phase === 'naming');
    await sleep(seconds * 1000);
    await system.host.virsh('pool-start', 'far');
    await expectMoved();
  },
  async 'before a merge deletes, inactive in libvirt'(seconds: number) {
    const here = await farBase(MIB);
    const request = { vm: here.guest.name, disk: 'vda', waitForDecision: true };
    const merge = await system.merge(request);
    await untilPhase(merge, 'waiting for a decision');
    await system.host.virsh('pool-destroy', POOL);
    await merge.executeUpdate('decide', { args: ['pivot'] });
    await untilPhase(merge, 'deleting');
    await sleep(seconds * 1000);
    await isRunning(here);
    await system.host.virsh('pool-start', POOL);
    await expectMerged(here, merge);
  },
};

const all = Object.entries(cases).flatMap(([when, run]) =>
  [5, ...(runsAllCases ? [when === AT_PIVOT ? 200 : 65] : [])].map((seconds) => ({
    when,
    seconds,
    run,
  })),
);

describe('A pool that becomes unavailable', () => {
  it('hides no child of a volume that a merge would delete', async () => {
    const here = await farBase(MIB);
    const { guest, chain } = here;
    const top = chain[1] as string;
    const request = { vm: guest.name, disk: 'vda', waitForDecision: true };
    const merge = await system.merge(request);
    await untilPhase(merge, 'waiting for a decision');
    const child = await createImage(join(dirname(top), `over-${guest.name}`), { below: top });
    await system.host.virsh('pool-destroy', POOL);
    await system.host.virsh('pool-undefine', POOL);
    await merge.executeUpdate('decide', { args: ['pivot'] });
    await waitUntil('the end of the proof', async () => {
      const { status } = await merge.describe();
      return status.name !== 'RUNNING' || (await merge.query(statusQuery)).phase === 'deleting';
    });
    await system.host.definePool(POOL);
    const failed: unknown = await merge.result().catch((error: unknown) => error);
    expect(failureDetails(failed)).toMatchObject({
      type: 'Hold',
      details: { code: 'unproven', now: expect.stringContaining('also the backing file') },
    });
    expect(await here.files()).toContain(basename(top));
    await rm(child);
    await expectMerged(here, await system.merge({ vm: guest.name, disk: 'vda' }));
  });

  const sampled = sample('pools that become unavailable', all, 2);
  it.each(sampled)('for $seconds s, $when', ({ run, seconds }) => run(seconds));
});
