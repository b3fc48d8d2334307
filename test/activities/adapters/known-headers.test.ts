import { mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { createKnownHeaders } from '../../../activities/adapters/qemu-img/known-headers.ts';
import { useEach } from '../../support/use.ts';

const LATER_MS = 10_000;

const folder = useEach();
const makeFolder = () =>
  folder(
    mkdtemp(join(tmpdir(), 'blockflow-headers-')).then((path) => ({
      path,
      close: () => rm(path, { recursive: true }),
    })),
  );

/** Of a file that has been as it is for `ageMs`; `read` counts. */
async function scene(ageMs: number) {
  const { path: root } = await makeFolder();
  const path = join(root, 'a');
  await writeFile(path, 'one');
  let [reads, laterMs] = [0, ageMs];
  const headers = createKnownHeaders<number>(() => Date.now() + laterMs);
  const get = () => headers.get(path, () => Promise.resolve(++reads));
  return { root, path, get, age: (ms: number) => void (laterMs = ms) };
}

it('reads a header once while its file stays as it is', async () => {
  const { get } = await scene(LATER_MS);
  expect([await get(), await get(), await get()]).toEqual([1, 1, 1]);
});

it('reads it each time while the last change is no older than a tick of the clock', async () => {
  const { get, age } = await scene(0);
  expect([await get(), await get()]).toEqual([1, 2]);
  age(LATER_MS);
  expect([await get(), await get()]).toEqual([3, 3]);
});

it('reads it again after a write, also of one with the old time and size', async () => {
  const { path, get } = await scene(LATER_MS);
  expect(await get()).toBe(1);
  await writeFile(path, 'two');
  await utimes(path, 1, 1);
  expect(await get()).toBe(2);
});

it('reads it again when another file has the name', async () => {
  const { root, path, get } = await scene(LATER_MS);
  expect(await get()).toBe(1);
  await writeFile(join(root, 'b'), 'one');
  await rename(join(root, 'b'), path);
  expect(await get()).toBe(2);
});

it('keeps no failure, and nothing of a file that is gone', async () => {
  const { path, get } = await scene(LATER_MS);
  const headers = createKnownHeaders<number>(() => Date.now() + LATER_MS);
  const broken = () => headers.get(path, () => Promise.reject(new Error('no header')));
  await expect(broken()).rejects.toThrow('no header');
  expect(await headers.get(path, () => Promise.resolve(7))).toBe(7);
  expect(await get()).toBe(1);
  await rm(path);
  expect(await get()).toBe(2);
});
