/**
 * On a file system with reflinks a copy shares the source's data, takes no space, and keeps a wipe
 * from what it shares.
 */
import { open, readFile, statfs, writeFile } from 'node:fs/promises';
import { beforeAll, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { armFault } from '../../support/faults/faults.ts';
import { createGuestDisk } from '../../support/guest/disks/guest-disk.ts';
import { defineGuest } from '../../support/guest/guest.ts';
import { startSharedSystem } from '../../support/scenes/merge-scene.ts';
import {
  digests,
  diskOf,
  recordOf,
  removalOf,
  startMove,
  startRemoval,
} from '../../support/scenes/transfer/move-scene.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { growOverlay } from '../../support/guest/disks/snapshots.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

const MIB = 2 ** 20;
const mount = use('the mount', () => mountOwn('xfs', 600));
const system = useSystem(() => startSharedSystem({ name: 'reflink' }));
beforeAll(async () => {
  await execa('mkdir', ['-p', `${mount.path}/one`, `${mount.path}/two`]);
  await system.host.definePool('one', `${mount.path}/one`);
  await system.host.definePool('two', `${mount.path}/two`);
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

/** The blocks of the disk that a file has, in its order. */
async function blocksOf(file: string): Promise<string[]> {
  const { stdout } = await execa('filefrag', ['-s', '-v', file]);
  const extents = /^\s*\d+:\s*(\d+\.\.\s*\d+:\s*\d+\.\.\s*\d+):/gm;
  return [...stdout.matchAll(extents)].map(([, extent = '']) => extent);
}

it('wipes what it shares with no other file, and tells how much it does share', async () => {
  const [file, clone] = [`${mount.path}/one/x.raw`, `${mount.path}/one/y.raw`];
  await writeFile(file, Buffer.alloc(5 * MIB, 1));
  await execa('cp', ['--reflink=always', file, clone]);
  const opened = await open(file, 'r+');
  await opened.write(Buffer.alloc(MIB, 2), 0, MIB, 2 * MIB);
  await opened.sync();
  await opened.close();
  const blocks = await blocksOf(file);
  expect(blocks.length).toBeGreaterThan(2);
  // Its agent stands still between the wipe and the end of the file's last name.
  armFault(system.trace, { effect: 'storage.unlink-volume', action: 'stop-before' });
  const image = { pool: 'one', volume: 'x.raw', format: 'raw' } as const;
  const removal = await startRemoval(system, { ...image, wipe: true });
  await system.roleStopped('spm');
  const buried = (await poolFiles(`${mount.path}/one`)).filter((name) => name.endsWith('-x.raw'));
  const tomb = `${mount.path}/one/${buried.join()}`;
  const bytes = await readFile(tomb);
  const wiped = await blocksOf(tomb);
  system.signalRole('spm', 'SIGCONT');
  const result = await removal.result();
  const shared: unknown = expect.stringMatching(/^4\.0 MiB of .*x\.raw were not overwritten/);
  expect(result).toMatchObject({ wiped: false, warnings: [shared], deleted: [file] });
  const expected = [1, 1, 0, 1, 1].map((byte) => Buffer.alloc(MIB, byte));
  expect(bytes.equals(Buffer.concat(expected))).toBe(true);
  // Where the data was, not in new blocks.
  expect(wiped).toEqual(blocks);
  expect((await readFile(clone)).every((byte) => byte === 1)).toBe(true);
});
