/** On a file system with reflinks a copy shares the source's data, and takes no space. */
import { statfs } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createGuestDisk } from '../support/guest-disk.ts';
import { defineGuest } from '../support/guest.ts';
import { startSharedSystem } from '../support/merge-scene.ts';
import { digests, diskOf, recordOf, removalOf, startMove } from '../support/move-scene.ts';
import { mountOwn, type OwnMount } from '../support/own-mount.ts';
import { growOverlay } from '../support/snapshots.ts';
import type { System } from '../support/system.ts';

const MIB = 2 ** 20;
let mount: OwnMount;
let system: System;
beforeAll(async () => {
  mount = await mountOwn('xfs', 600);
  await execa('mkdir', ['-p', `${mount.path}/one`, `${mount.path}/two`]);
  system = await startSharedSystem({ name: 'reflink' });
  await system.host.definePool('one', `${mount.path}/one`);
  await system.host.definePool('two', `${mount.path}/two`);
});
afterAll(async () => {
  await system.close();
  await mount.close();
});

const usedBytes = async () => {
  const { blocks, bfree, bsize } = await statfs(mount.path);
  return (blocks - bfree) * bsize;
};

it('moves by reflink between two pools of one file system', async () => {
  const file = `${mount.path}/one/web1.qcow2`;
  const disk = await createGuestDisk(file, { format: 'qcow2', virtualSizeBytes: 256 * MIB });
  await growOverlay(disk, { bytes: 200 * MIB });
  await defineGuest(system.host, { name: 'web1', disk });
  const before = await digests([file]);
  const used = await usedBytes();
  const move = await startMove(system, { image: diskOf('web1'), to: 'two' });
  const result = await move.result();
  expect(result).toMatchObject({ outcome: 'moved', verified: true });
  expect(await recordOf(system, 'web1')).toBe(`${mount.path}/two/web1.qcow2`);
  expect(await digests([`${mount.path}/two/web1.qcow2`])).toEqual(before);
  expect(await usedBytes()).toBeLessThan(used + 16 * MIB);
  await removalOf(system, result);
  const effects = await system.effects();
  expect(effects.some((line) => line.startsWith('image.reflink '))).toBe(true);
  expect(effects.some((line) => line.startsWith('image.start-copy '))).toBe(false);
});
