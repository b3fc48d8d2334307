/** Snapshots inside of images, by id and name, with a real qemu-storage-daemon. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { deleteInner } from '../../../activities/adapters/copying-daemon/inner-snapshots.ts';
import { whileOpen } from '../../../activities/adapters/copying-daemon/open-images.ts';
import { checkImage, repairLeaks } from '../../../activities/adapters/qemu-img/image-check.ts';
import { isUnlocked } from '../../../activities/adapters/qemu-img/qemu-img.ts';
import { insideOf, leakCluster } from '../../support/guest/disks/inner-snapshots.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-inner-'));
  path = join(folder, 'disk.qcow2');
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', path, '16M']);
  for (const name of ['2', 'dup', 'dup']) await execa('qemu-img', ['snapshot', '-c', name, path]);
});
afterEach(() => rm(folder, { recursive: true }));

const inside = () => insideOf(path);
const deleted = (id: string, name: string) =>
  whileOpen([{ node: 'disk', path }], (ask) => deleteInner(ask, 'disk', { id, name }));

it('one is deleted when id and name fit, and no other one is', async () => {
  expect(await inside()).toEqual(['1 2', '2 dup', '3 dup']);
  expect(await deleted('2', '2')).toMatch(/Snapshot with id '2' and name '2' does not exist/);
  expect(await deleted('1', 'dup')).toMatch(/does not exist/);
  expect(await inside()).toEqual(['1 2', '2 dup', '3 dup']);
  expect(await deleted('3', 'dup')).toBeNull();
  expect(await inside()).toEqual(['1 2', '2 dup']);
});

it('the image is locked as long as it is open, also for ourselves', async () => {
  const image = { node: 'disk', path };
  const found = await whileOpen([image], async (ask) => [
    await isUnlocked(path),
    await whileOpen([image], () => Promise.resolve('open twice')),
    await deleteInner(ask, 'disk', { id: '2', name: 'dup' }),
    await deleteInner(ask, 'disk', { id: '2', name: 'dup' }),
    await checkImage(path),
  ]);
  expect(found).toEqual([false, null, null, expect.stringMatching(/does not exist/), 'locked']);
  expect(await isUnlocked(path)).toBe(true);
  expect(await checkImage(path)).toBe('sound');
});

it('the daemon ends with the process that asked it', async () => {
  const adapter = new URL(
    '../../../activities/adapters/copying-daemon/open-images.ts',
    import.meta.url,
  );
  const program = `
    const { whileOpen } = await import(${JSON.stringify(adapter.href)});
    await whileOpen([{ node: 'disk', path: ${JSON.stringify(path)} }], async () => {
      console.log('open');
      await new Promise((resolve) => setTimeout(resolve, 1e6));
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
  await once(child.stdout, 'data');
  expect(await isUnlocked(path)).toBe(false);
  child.kill('SIGKILL');
  await once(child, 'close');
  expect(await isUnlocked(path)).toBe(true);
});

it('leaks are found, and repaired; an image with errors is told', async () => {
  await leakCluster(path);
  expect(await checkImage(path)).toBe('leaks');
  expect(await repairLeaks(path)).toBe('sound');
  expect(await inside()).toEqual(['1 2', '2 dup', '3 dup']);
  // The header's cluster counts as free.
  const file = await open(path, 'r+');
  await file.write(Buffer.from([0, 0]), 0, 2, 0x20000);
  await file.close();
  expect(await checkImage(path)).toBe('damaged');
});
