/** The command line: help, usage errors, exit codes, completion. Nothing here needs a server. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { BlockflowError, exitCodeOf, usage } from '../../client/library/failure.ts';
import { completionScript } from '../../client/cli/completion-script.ts';
import { checkMachine } from '../../client/cli/doctor/check-machine.ts';
import { failureDocument, failureLines } from '../../client/cli/render/failure.ts';
import { createProgram, runCli } from '../../client/cli/run-cli.ts';
import { createScreen } from '../support/scenes/client-views.ts';

async function type(...args: string[]) {
  const { screen, printed, told } = createScreen();
  return { exitCode: await runCli(args, screen), printed, told };
}
const program = createProgram({
  screen: createScreen().screen,
  run: (body) => body().then(() => undefined),
});
const names = program.commands.map((command) => command.name());

test('the commands are those of the README', () => {
  expect(names).toEqual([
    'merge',
    'move',
    'copy',
    'rm',
    'snapshot',
    'status',
    'list',
    'chain',
    'cancel',
    'bandwidth',
    'decide',
    'limit',
    'events',
    'spm',
    'pool',
    'doctor',
    'up',
    'ui',
    'worker',
    'completion',
  ]);
});

test('help exits 0 and names every command', async () => {
  const { exitCode, printed } = await type('--help');
  expect(exitCode).toBe(0);
  for (const name of names) expect(printed.join('\n')).toContain(`  ${name} `);
  for (const name of names) expect((await type(name, '--help')).exitCode).toBe(0);
});

test.each([
  [['mrege', 'web1/vda'], 'unknown command'],
  [['merge'], "missing required argument 'VM'"],
  [['merge', 'web1'], 'no disk is named'],
  [['merge', 'web1/vda', '--bandwidth', 'fast'], 'it is not a rate'],
  [['merge', 'web1/vda', '--if-busy', 'kill'], "argument 'kill' is invalid"],
  [['merge', 'web1/vda', '--base', 'x', '--shallow'], 'cannot be used with option'],
  [['merge', 'web1/vda', '--snapshot', 'x', '--top', 'y'], 'cannot be used with option'],
  [['copy', 'web1/vda', '--to', 'b', '--converge'], '--converge is for a running VM'],
  [['copy', 'web1/vda', '--to', 'b', '--max-pause', '1s'], '--max-pause is for a running VM'],
  [['bandwidth', 'web1', 'vda'], 'the rate is missing'],
  [['decide', 'web1/vda'], 'missing required argument'],
  [['worker', 'janitor'], "value 'janitor' is invalid"],
  [['list', '-n', 'x'], 'it is not a number'],
  [['up', '--port', '70000'], 'it is not a number from 1 to 65535'],
])('%j exits 2 with a sentence', async (args, words) => {
  const { exitCode, printed, told } = await type(...args);
  expect(exitCode).toBe(2);
  expect(told[0]).toBe('Not understood (usage)');
  expect(told.join('\n')).toContain(words);
  expect(printed).toEqual([]);
});

test('with --json a usage error is one document', async () => {
  const { exitCode, printed, told } = await type('merge', 'web1', '--json');
  expect(exitCode).toBe(2);
  expect(told).toEqual([]);
  expect(JSON.parse(printed.join('\n'))).toMatchObject({
    type: 'Usage',
    code: 'usage',
    exitCode: 2,
  });
});

test.each(['web1', 'web1 vda', '-n 20'])('events --verify %s is a usage error', async (part) => {
  const { exitCode, told } = await type('events', '--verify', ...part.split(' '));
  expect(exitCode).toBe(2);
  expect(told.join('\n')).toContain('as a whole');
});

test.each([
  ['where there is no audit log', '/nowhere', 4, 'there is no audit log'],
  ['where no event was recorded yet', null, 0, 'no events yet'],
])('events --verify %s', async (_, named, code, words) => {
  const { BLOCKFLOW_STATE_DIR } = process.env;
  const folder = named ?? (await mkdtemp(join(tmpdir(), 'blockflow-events-')));
  if (named === null) await mkdir(join(folder, 'events'));
  process.env['BLOCKFLOW_STATE_DIR'] = folder;
  const { exitCode, printed } = await type('events', '--verify');
  if (BLOCKFLOW_STATE_DIR === undefined) delete process.env['BLOCKFLOW_STATE_DIR'];
  else process.env['BLOCKFLOW_STATE_DIR'] = BLOCKFLOW_STATE_DIR;
  if (named === null) await rm(folder, { recursive: true });
  expect(exitCode).toBe(code);
  expect(JSON.stringify(printed)).toContain(words);
});

test('doctor names the package of each tool that a move or a merge calls', async () => {
  const { PATH } = process.env;
  process.env['PATH'] = '/nowhere';
  const checks = await checkMachine().finally(() => void (process.env['PATH'] = PATH));
  const tools = 'virsh, qemu-img, qemu-io, qemu-storage-daemon, bash, flock, unshare, ip, openssl';
  const packages = 'libvirt-clients qemu-utils qemu-system-common bash util-linux iproute2 openssl';
  expect(checks.at(-1)).toEqual({
    area: 'machine',
    state: 'fails',
    found: `not on the PATH: ${tools}`,
    fix: `apt-get install ${packages}`,
  });
});

const words = { attempted: 'merging web1/vda', now: 'it is busy', next: 'Wait' };

test('exit codes follow the type of the failure', () => {
  const of = (type: BlockflowError['type']) =>
    exitCodeOf(new BlockflowError(type, { code: 'unexpected', ...words }));
  expect(exitCodeOf(usage('a', 'b', 'c'))).toBe(2);
  expect(of('Refused')).toBe(3);
  expect(of('Cancelled')).toBe(5);
  for (const type of [
    'Hold',
    'Retry',
    'NoSpace',
    'LeaseLost',
    'Bug',
    'Away',
    'Terminated',
  ] as const) {
    expect(of(type)).toBe(4);
  }
  expect(exitCodeOf(new TypeError('x'))).toBe(4);
});

test('a failure says what was tried, what is true now, and what to do next', () => {
  const error = new BlockflowError('Refused', { code: 'foreign-job', ...words });
  expect(failureLines(error, (_, text) => text)).toEqual([
    'Refused, nothing was done (foreign-job)',
    '  tried  merging web1/vda',
    '  now    it is busy',
    '  next   Wait',
  ]);
  const document = {
    outcome: 'refused',
    type: 'Refused',
    code: 'foreign-job',
    ...words,
    exitCode: 3,
  };
  expect(failureDocument(error)).toEqual(document);
});

test('an error that is not ours is told in its own words', () => {
  expect(failureDocument(new TypeError('x is not a function'))).toMatchObject({
    outcome: 'failed',
    code: 'unexpected',
    now: 'x is not a function',
    exitCode: 4,
  });
});

test.each(['bash', 'zsh', 'fish'] as const)('completion for %s knows all commands', (shell) => {
  const script = completionScript(program, shell);
  for (const command of program.commands) {
    expect(script).toContain(command.name());
    for (const { long } of command.options) expect(script).toContain(String(long ?? ''));
  }
});

test('bash completes commands, options, and VMs whatever they are called', () => {
  const script = completionScript(program, 'bash');
  const vms = ['web1', 'my vm', "it's", '$(exit 9)', 'a*'];
  const virsh = `virsh() { printf '%s\\n' "\${VMS[@]}" ''; }; VMS=("$@")`;
  const complete = (...typed: string[]) => {
    const words = `COMP_WORDS=(${typed.join(' ')}) COMP_CWORD=${typed.length - 1}`;
    const print = `printf '%s\\n' "\${COMPREPLY[@]}"`;
    const run = `${virsh}\n${script}\n${words}\n_blockflow; ${print}`;
    const options = { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } } as const;
    return execFileSync('bash', ['--norc', '-c', run, 'bash', ...vms], options)
      .trim()
      .split('\n');
  };
  expect(complete('blockflow', 'me')).toEqual(['merge']);
  expect(complete('blockflow', 'merge', '--keep-o')).toEqual(['--keep-overlay']);
  expect(complete('blockflow', 'worker', 'orch')).toEqual(['orchestrator']);
  expect(complete('blockflow', 'merge', 'we')).toEqual(['web1']);
  expect(complete('blockflow', 'merge', "'my\\ '")).toEqual(['my\\ vm']);
  const every = ['web1', 'my\\ vm', "it\\'s", '\\$\\(exit\\ 9\\)', 'a\\*'];
  expect(complete('blockflow', 'merge', "''")).toEqual(expect.arrayContaining(every));
});

test.each(['--version', '-V'])('%s prints the version of the package', async (option) => {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  expect(await type(option)).toMatchObject({ exitCode: 0, printed: [version], told: [] });
});
