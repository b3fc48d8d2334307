import { appendFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { EffectName } from '../../../activities/door/effect.ts';
import { armFault } from '../../support/faults/faults.ts';
import { fill, unfill, untilOutOfSpace } from '../../support/scenes/full-pool.ts';
import { SLOW } from '../../support/scenes/copying.ts';
import { startSharedSystem } from '../../support/scenes/merge-scene.ts';
import {
  copiers,
  defineOff,
  digests,
  diskOf,
  effectsOn,
  removalOf,
  startMove,
} from '../../support/scenes/transfer/move-scene.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { unlimit } from '../../support/scenes/transfer/slow-move.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

const TIGHT = 'tight';
const MIB = 2 ** 20;
let folder: string;

/** A pool on a file system of 96 MiB. */
const mount = use('the mount', () => mountOwn('ext4', 96));
const system = useSystem(() => startSharedSystem({ name: 'space' }));
beforeAll(async () => {
  folder = mount.path;
  await system.host.definePool(TIGHT, folder);
});

describe('a move into a pool without space', () => {
  it('waits before it has begun, says what is missing, and goes on', async () => {
    await fill(folder, 10 * MIB);
    const file = await defineOff(system, 'early', { bytes: 24 * MIB });
    const before = await digests([file]);
    const move = await startMove(system, { image: diskOf('early'), to: TIGHT });
    const { note } = await untilStatus(
      move,
      'to wait',
      ({ phase }) => phase === 'waiting for space',
    );
    expect(note).toMatch(/MiB are missing/);
    expect(await copiers(system)).toEqual([]);
    await unfill(folder);
    const result = await move.result();
    await removalOf(system, result);
    const target = join(folder, 'early.qcow2');
    expect(await digests([target])).toEqual(before);
    await rm(target);
  });

  it('is cancelled while it waits, and has done nothing', async () => {
    await fill(folder, 10 * MIB);
    const file = await defineOff(system, 'given-up', { bytes: 24 * MIB });
    const before = await digests([file]);
    const move = await startMove(system, { image: diskOf('given-up'), to: TIGHT });
    await untilStatus(move, 'to wait', ({ phase }) => phase === 'waiting for space');
    await move.cancel();
    await expect(move.result()).rejects.toThrow();
    expect((await move.describe()).status.name).toBe('CANCELLED');
    await unfill(folder);
    expect(await digests([file])).toEqual(before);
    expect((await poolFiles(folder)).filter((name) => name.includes('given-up'))).toEqual([]);
  });

  it('waits in the middle of a copy, and goes on where it was', async () => {
    const file = await defineOff(system, 'middle', { bytes: 24 * MIB });
    const before = await digests([file]);
    const limit = { bandwidthBytesPerSecond: SLOW };
    const move = await startMove(system, { image: diskOf('middle'), to: TIGHT, ...limit });
    await waitUntil('the copy', async () => (await copiers(system)).length > 0);
    await fill(folder, 2 * MIB);
    await unlimit(move);
    await untilOutOfSpace(move);
    await unfill(folder);
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'moved', verified: true });
    await removalOf(system, result);
    const target = join(folder, 'middle.qcow2');
    expect(await digests([target])).toEqual(before);
    await rm(target);
    const effects = await system.effects();
    const starts = effects.filter((line) => /^image.start-copy .*middle/.test(line));
    expect(starts).toHaveLength(1);
    expect(effects.some((line) => line.startsWith('image.resume-copy'))).toBe(true);
  });

  /** Stops the agent just before `effect`, and lets it go on without space. */
  async function withoutSpaceAt(effect: EffectName, start: () => ReturnType<typeof startMove>) {
    armFault(system.trace, { effect, action: 'stop-before' });
    const move = await start();
    await system.roleStopped('host');
    await fill(folder, 0);
    system.signalRole('host', 'SIGCONT');
    await untilOutOfSpace(move);
    await unfill(folder);
    return move.result();
  }

  it('waits where the space of a new image is taken', async () => {
    await defineOff(system, 'fresh', { bytes: MIB });
    const how = { to: TIGHT, format: 'raw', preallocation: 'falloc' } as const;
    const result = await withoutSpaceAt('image.create-target', () =>
      startMove(system, { image: diskOf('fresh'), ...how }),
    );
    expect(result).toMatchObject({ outcome: 'moved', verified: true });
    await removalOf(system, result);
    const target = join(folder, 'fresh.raw');
    expect((await stat(target)).size).toBeGreaterThan(MIB);
    await rm(target);
  });

  it('waits where the end of a file is written', async () => {
    const file = await defineOff(system, 'end', { bytes: MIB, format: 'raw' });
    await appendFile(file, 'an end');
    const before = await digests([file]);
    const result = await withoutSpaceAt('image.complete-copy', () =>
      startMove(system, { image: diskOf('end'), to: TIGHT }),
    );
    await removalOf(system, result);
    const target = join(folder, 'end.raw');
    expect(await digests([target])).toEqual(before);
    await rm(target);
  });
});

describe('a move into a pool that answers slowly', () => {
  it('waits for the flush, and completes the copy once', async () => {
    const file = await defineOff(system, 'flushed', { bytes: MIB });
    const before = await digests([file]);
    armFault(system.trace, { effect: 'image.complete-copy', action: 'stop-before' });
    const move = await startMove(system, { image: diskOf('flushed'), to: TIGHT });
    await system.roleStopped('host');
    const thaw = await mount.freeze();
    try {
      system.signalRole('host', 'SIGCONT');
      // Longer than an activity may be silent.
      await waitUntil('the agent to beat while it flushes', async () => {
        const [activity] = (await move.describe()).raw.pendingActivities ?? [];
        expect(activity?.attempt).toBe(1);
        const [first, last] = [activity?.lastStartedTime, activity?.lastHeartbeatTime];
        return Number(last?.seconds ?? 0) > Number(first?.seconds ?? Infinity) + 8;
      });
    } finally {
      await thaw();
    }
    await removalOf(system, await move.result());
    expect(await digests([join(folder, 'flushed.qcow2')])).toEqual(before);
    expect(await effectsOn(system, 'image.complete-copy', 'flushed.qcow2')).toHaveLength(1);
  });
});
