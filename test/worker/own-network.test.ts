/** What `blockflow up` says where it gets no network of its own. */
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { commandLine } from '../support/host/roles/command-line.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-path-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Started with a PATH of these commands only, each by its file. */
async function upWith(commands: Record<string, string>): Promise<string> {
  const bin = ['sh', 'openssl', 'flock', 'bash'].map((name) => [name, `/usr/bin/${name}`] as const);
  for (const [command, file] of [...bin, ...Object.entries(commands)]) {
    await symlink(file, join(folder, command));
  }
  const { exitCode, told } = await commandLine({
    PATH: folder,
    BLOCKFLOW_STATE_DIR: join(folder, 'state'),
    BLOCKFLOW_RUNTIME_DIR: join(folder, 'run'),
  })('up', '--connect', 'test:///default');
  const words = expect.stringContaining('(no-own-network)') as unknown;
  expect({ exitCode, told }).toEqual({ exitCode: 3, told: words });
  return told;
}

it('names unshare where it is not installed', async () => {
  expect(await upWith({})).toContain('Install unshare (package util-linux)');
});

it('names ip where it is not installed', async () => {
  expect(await upWith({ unshare: '/usr/bin/unshare' })).toContain('Install ip (package iproute2)');
});

it('says which right lacks where the system refuses', async () => {
  expect(await upWith({ unshare: '/usr/bin/false' })).toMatch(/next +Allow CAP_SYS_ADMIN/);
});
