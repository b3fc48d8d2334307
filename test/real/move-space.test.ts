import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fill, unfill, untilOutOfSpace } from '../support/full-pool.ts';
import { startSharedSystem } from '../support/merge-scene.ts';
import {
  copiers,
  defineOff,
  digests,
  diskOf,
  removalOf,
  startMove,
} from '../support/move-scene.ts';
import { untilMove } from '../support/move-scene.ts';
import { mountOwn, type OwnMount } from '../support/own-mount.ts';
import type { System } from '../support/system.ts';
import { waitUntil } from '../support/wait-until.ts';

const TIGHT = 'tight';
const MIB = 2 ** 20;
let system: System;
let mount: OwnMount;
let folder: string;

/** A pool on a file system of 64 MiB. */
beforeAll(async () => {
  mount = await mountOwn('ext4', 64);
  folder = mount.path;
  system = await startSharedSystem({ name: 'space' });
  await system.host.definePool(TIGHT, folder);
});
afterAll(async () => {
  await system.close();
  await mount.close();
});

describe('a move into a pool without space', () => {
  it('waits before it has begun, says what is missing, and goes on', async () => {
    await fill(folder, 10 * MIB);
    const file = await defineOff(system, 'early', { bytes: 24 * MIB });
    const before = await digests([file]);
    const move = await startMove(system, { image: diskOf('early'), to: TIGHT });
    const { note } = await untilMove(move, 'to wait', ({ phase }) => phase === 'waiting for space');
    expect(note).toMatch(/MiB are missing/);
    expect(await copiers(system)).toEqual([]);
    await unfill(folder);
    const result = await move.result();
    await removalOf(system, result);
    const target = join(folder, 'early.qcow2');
    expect(await digests([target])).toEqual(before);
    await rm(target);
  });

  it('waits in the middle of a copy, and goes on where it was', async () => {
    const file = await defineOff(system, 'middle', { bytes: 24 * MIB });
    const before = await digests([file]);
    const limit = { bandwidthBytesPerSecond: 4 * MIB };
    const move = await startMove(system, { image: diskOf('middle'), to: TIGHT, ...limit });
    await waitUntil('the copy', async () => (await copiers(system)).length > 0);
    await fill(folder, 2 * MIB);
    await untilOutOfSpace(move);
    await unfill(folder);
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'moved', verified: true });
    await removalOf(system, result);
    expect(await digests([join(folder, 'middle.qcow2')])).toEqual(before);
    const effects = await system.effects();
    const starts = effects.filter((line) => /^image.start-copy .*middle/.test(line));
    expect(starts).toHaveLength(1);
    expect(effects.some((line) => line.startsWith('image.resume-copy'))).toBe(true);
  });
});
