/**
 * On a file system with reflinks a copy shares the source's data, takes no space, and keeps a wipe
 * from what it shares.
 */
import { open, readFile, statfs, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createGuestDisk } from '../../support/guest/guest-disk.ts';
import { defineGuest } from '../../support/guest/guest.ts';
import { startSharedSystem } from '../../support/scenes/merge-scene.ts';
import {
  digests,
  diskOf,
  recordOf,
  removalOf,
  startMove,
  startRemoval,
} from '../../support/scenes/move-scene.ts';
import { mountOwn, type OwnMount } from '../../support/host/own-mount.ts';
import { growOverlay } from '../../support/guest/snapshots.ts';
import type { System } from '../../support/host/system.ts';

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
  const move = await startMove(system, { image: diskOf('web1'), to: 'two', wipe: true });
  const result = await move.result();
  expect(result).toMatchObject({ outcome: 'moved', verified: true });
  expect(await recordOf(system, 'web1')).toBe(`${mount.path}/two/web1.qcow2`);
  expect(await digests([`${mount.path}/two/web1.qcow2`])).toEqual(before);
  expect(await usedBytes()).toBeLessThan(used + 16 * MIB);
  const removed = await removalOf(system, result);
  expect(removed).toMatchObject({ outcome: 'removed', deleted: [file], wiped: false });
  expect(removed.summary).toMatch(/web1\.qcow2 were not overwritten: another file shares these/);
  expect(await digests([`${mount.path}/two/web1.qcow2`])).toEqual(before);
  const effects = await system.effects();
  expect(effects.some((line) => line.startsWith('image.reflink '))).toBe(true);
  expect(effects.some((line) => line.startsWith('image.start-copy '))).toBe(false);
});

it('wipes what it shares with nobody, and tells how much it does share', async () => {
  const [file, clone] = [`${mount.path}/one/x.raw`, `${mount.path}/one/y.raw`];
  await writeFile(file, Buffer.alloc(5 * MIB, 1));
  await execa('cp', ['--reflink=always', file, clone]);
  const opened = await open(file, 'r+');
  await opened.write(Buffer.alloc(MIB, 2), 0, MIB, 2 * MIB);
  await opened.sync();
  const image = { pool: 'one', volume: 'x.raw', format: 'raw' } as const;
  const removal = await startRemoval(system, { ...image, wipe: true });
  const { wiped, warnings } = await removal.result();
  const shared: unknown = expect.stringMatching(/^4\.0 MiB of .*x\.raw were not overwritten/);
  expect({ wiped, warnings }).toEqual({ wiped: false, warnings: [shared] });
  // What is open can be read after its last name has gone.
  const bytes = await opened.read(Buffer.alloc(5 * MIB), 0, 5 * MIB, 0);
  await opened.close();
  const firsts = [0, 1, 2, 3, 4].map((at) => bytes.buffer[at * MIB]);
  expect(firsts).toEqual([1, 1, 0, 1, 1]);
  expect((await readFile(clone)).every((byte) => byte === 1)).toBe(true);
});
