/** `up.json`, as `blockflow up` writes it and its clients read it. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { readLastUpFile, readUpFile } from '../../worker/environment/up-file.ts';
import { removeUpFile, writeUpFile } from '../../worker/up/keep-up-file.ts';

it('A client finds what this process wrote, whole, and nothing once it is removed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-up-'));
  const facts = { host: 'h1', libvirtUri: 'test:///default', temporal: null };
  await writeUpFile(folder, { ...facts, host: 'before' });
  await writeUpFile(folder, facts);
  expect(readUpFile(folder)).toMatchObject({ ...facts, pid: process.pid });
  expect(await readdir(folder)).toEqual(['up.json']);
  removeUpFile(folder);
  removeUpFile(folder);
  expect([readUpFile(folder), readLastUpFile(folder)]).toEqual([null, null]);
  await rm(folder, { recursive: true });
});
