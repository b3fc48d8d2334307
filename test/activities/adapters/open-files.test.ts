/** The files of a QEMU, by processes that call themselves so. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { observeFile } from '../../../activities/adapters/files/files.ts';
import { openByQemu } from '../../../activities/adapters/files/open-files.ts';

const UUID = '5d2f7c1e-0a3b-4c4d-8e5f-66778899aabb';
let folder: string;
let started: ChildProcess[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-open-'));
  started = [];
});
afterEach(async () => {
  for (const process of started) process.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

/** Resolves once it runs. @param script what it does first */
async function startAs(uuid: string, script: string): Promise<void> {
  const words = ['-c', `${script}; echo ready; read -r`, 'qemu', '-uuid', uuid];
  const child = spawn('bash', words, { stdio: ['pipe', 'pipe', 'inherit'] });
  started.push(child);
  await once(child.stdout, 'data');
}

it('are those of all such processes: one that pretends to be it hides nothing', async () => {
  expect(await openByQemu(UUID)).toBeNull();
  const image = join(folder, 'image');
  await writeFile(image, '');
  const identity = (await observeFile(image))?.identity ?? '';
  await startAs(UUID, ':');
  await startAs(UUID, `exec 7<>'${image}'`);
  await startAs(UUID, ':');
  expect(await openByQemu(UUID, new Set([identity]))).toEqual([{ identity, writable: true }]);
});
