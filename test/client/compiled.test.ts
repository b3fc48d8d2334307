/** Compiled code that commands keep: only where others cannot change what root would run. */
import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, test } from '@jest/globals';
import { commandLine } from '../support/host/roles/command-line.ts';

const STRANGER = 65_534;

let home: string;
const kept = () => join(home, 'blockflow', 'compiled');
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'blockflow-compiled-'));
  await mkdir(join(home, 'blockflow'));
});
afterEach(() => rm(home, { recursive: true }));

const version = async (cache = home) => {
  const { exitCode, printed } = await commandLine({ XDG_CACHE_HOME: cache })('--version');
  expect({ exitCode, printed }).toEqual({ exitCode: 0, printed: expect.stringMatching(/^\d/) });
};
const files = async () => (await readdir(kept(), { recursive: true })).length;

test('a command keeps what it compiled for the next one, for its user alone', async () => {
  await version();
  const first = await files();
  expect(first).toBeGreaterThan(10);
  expect((await stat(kept())).mode & 0o777).toBe(0o700);
  await version();
  expect(await files()).toBe(first);
});

it.each([
  ['a folder above is open to others', () => chmod(home, 0o777)],
  ['a folder above is of another user', () => chown(home, STRANGER, STRANGER)],
  [
    'the folder is of another user',
    async () => {
      await mkdir(kept());
      await chown(kept(), STRANGER, STRANGER);
    },
  ],
])('keeps nothing when %s', async (_, spoil) => {
  await spoil();
  await version();
  expect(await files()).toBe(0);
});

it('keeps nothing behind a link', async () => {
  await symlink(home, `${home}-link`);
  try {
    await version(`${home}-link`);
    expect(await files()).toBe(0);
  } finally {
    await rm(`${home}-link`);
  }
});

it.each(['no/such/folder', 'blockflow'])('makes no folder %s', async (name) => {
  await version(join(home, name));
  expect(await readdir(home)).toEqual(['blockflow']);
  expect(await readdir(join(home, 'blockflow'))).toEqual([]);
});
