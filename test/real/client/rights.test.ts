/** Agents without the rights that their proofs need: nothing is started, and the reason is told. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { commandLine } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-rights-'));
});
afterEach(() => rm(folder, { recursive: true }));

test.each(['up', 'worker host', 'worker spm'])('`blockflow %s` is refused', async (command) => {
  const env = {
    BLOCKFLOW_STATE_DIR: join(folder, 'state'),
    BLOCKFLOW_RUNTIME_DIR: join(folder, 'run'),
    BLOCKFLOW_CONNECT: 'qemu:///system',
    // No server is there: a command that went on would wait for it.
    TEMPORAL_ADDRESS: '127.0.0.1:1',
  };
  const blind = ['setpriv', '--bounding-set', '-sys_ptrace'];
  const typed = commandLine(env, (words) => [...blind, ...words]);
  await says(
    typed(...command.split(' ')),
    3,
    ...[/^Refused, nothing was done \(lacks-rights\)/, 'qemu:///system lacks CAP_SYS_PTRACE, by'],
    ...['nothing was started', 'LIBVIRT_DEFAULT_URI=qemu:///session'],
  );
  expect(await readdir(folder)).toEqual([]);
});
