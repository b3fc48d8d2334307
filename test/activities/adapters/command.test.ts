/** Commands in open shells, against real programs. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { run } from '../../../activities/adapters/process/command.ts';

const PATH = process.env['PATH'];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-command-'));
});
afterEach(async () => {
  process.env['PATH'] = PATH;
  await rm(folder, { recursive: true });
});

/** A program that is found by its name. */
async function program(name: string, text: string): Promise<void> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/bash\n${text}\n`);
  await chmod(path, 0o755);
  process.env['PATH'] = `${folder}:${PATH}`;
}

const HOSTILE = ['', ' ', '\n', "'", '"', '$(id)', '`id`', '*', 'a\nb\n', '-n', '\\0', 'é€', 'A=b'];

it('hands words on as they are', async () => {
  await program('show', `printf '%s\\0' "$@" | od -An -v -tx1`);
  const hex = (await run('show', HOSTILE)).replaceAll(/\s/g, '');
  expect(Buffer.from(hex, 'hex').toString()).toBe(HOSTILE.map((word) => `${word}\0`).join(''));
});

it('refuses a word with a zero byte, which would end it', async () => {
  await expect(run('echo', ['a\0b'])).rejects.toThrow('zero byte');
});

it('tells what a command says, its exit code, and that one was killed', async () => {
  await program('fail', `echo out; echo "words" >&2; exit "$1"`);
  await program('die', `kill -9 $$`);
  const failed = { exitCode: 7, stderr: 'words', stdout: 'out\n' };
  await expect(run('fail', ['7'])).rejects.toMatchObject(failed);
  await expect(run('die', [])).rejects.toMatchObject({ exitCode: undefined });
  expect(await run('echo', ['and goes on'])).toBe('and goes on\n');
});

it('is not ended by what a command prints', async () => {
  await program('imitate', `printf '\\0%s 0\\0' x; printf '\\0x\\0' >&2; exit 3`);
  await expect(run('imitate', [])).rejects.toMatchObject({ exitCode: 3, stdout: '\0x 0\0' });
});

it('takes all of a large answer, whose characters come in parts', async () => {
  await program('much', `for ((i = 0; i < 50000; i++)); do echo 'é€ 0123456789'; done`);
  expect(await run('much', [])).toBe('é€ 0123456789\n'.repeat(50_000));
});

it('looks for a command where PATH says now, and gives it no input', async () => {
  await program('ask', `echo one; cat`);
  expect(await run('ask', [])).toBe('one\n');
  await rm(join(folder, 'ask'));
  await expect(run('ask', [])).rejects.toMatchObject({ exitCode: 127 });
});

it('runs commands beside each other', async () => {
  await program('meet', `touch "$0-$1"; until [[ -e $0-$2 ]]; do :; done; echo "$1"`);
  const pairs = [
    ['a', 'b'],
    ['b', 'c'],
    ['c', 'd'],
    ['d', 'e'],
    ['e', 'f'],
    ['f', 'a'],
  ];
  const met = await Promise.all(pairs.map((pair) => run('meet', pair)));
  expect(met.join('')).toBe('a\nb\nc\nd\ne\nf\n');
});

it('takes the end of a shell for no answer', async () => {
  await program('end', `kill -9 $PPID; echo done`);
  await expect(run('end', [])).rejects.toThrow('bash ended while it ran end');
  expect(await run('echo', ['and goes on'])).toBe('and goes on\n');
});

it('gives children nothing that lets them into Temporal', async () => {
  process.env['TEMPORAL_API_KEY'] = 'secret-1';
  process.env['MY_TOKEN'] = 'secret-2';
  const child = await run('env', [], { env: { MORE: 'x' } });
  delete process.env['TEMPORAL_API_KEY'];
  delete process.env['MY_TOKEN'];
  expect(child).not.toMatch(/secret/);
  expect(child).toMatch(/^MORE=x$/m);
  expect(child).toMatch(/^PATH=/m);
});
