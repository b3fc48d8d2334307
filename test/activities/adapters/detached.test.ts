/** Work that outlives the agent, as bash that waits for a file. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import {
  awaitEnd,
  endRecorded,
  forgetState,
  onlyOnce,
  RUNS_ALREADY,
  startDetached,
} from '../../../activities/adapters/process/detached.ts';
import { waitUntil } from '../../support/wait-until.ts';

let folder: string;
let state: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-detached-'));
  state = join(folder, 'run/job');
});
afterEach(() => rm(folder, { recursive: true }));

/** Records its pid, and runs until it is told to end; a child of it has the lock, too. */
const WORK = `echo $$ >"$0.pid"; until [[ -e $0.end ]]; do sleep 0.05; done; exit 7`;
const start = async () => startDetached(...(await onlyOnce(state, ['bash', '-c', WORK, state])));
const untilRecorded = () => waitUntil('its pid', () => existsSync(`${state}.pid`));

it('Work of one state is done once at a time, and its end is waited for', async () => {
  const first = await start();
  await untilRecorded();
  expect(await (await start()).exit).toBe(RUNS_ALREADY);
  expect([first.hasEnded(), await awaitEnd(state, 200)]).toEqual([false, false]);
  const ended = awaitEnd(state);
  await writeFile(`${state}.end`, '');
  expect([await ended, await first.exit, first.hasEnded()]).toEqual([true, 7, true]);
  expect(await (await start()).exit).toBe(7);
});

it('What never ran has ended, and leaves no lock', async () => {
  expect(await awaitEnd(state)).toBe(true);
  expect(existsSync(folder) && (await readdir(folder))).toEqual([]);
});

it('A signal goes to the recorded process only when it is that work', async () => {
  const work = await start();
  await untilRecorded();
  await endRecorded(state, 'qemu-img', 'SIGKILL');
  expect(await awaitEnd(state, 200)).toBe(false);
  await endRecorded(state, state, 'SIGKILL');
  expect(await work.exit).toBeUndefined();
  await rm(`${state}.pid`);
  await endRecorded(state, '', 'SIGKILL');
});

it('A state is forgotten, and no other', async () => {
  await onlyOnce(state, []);
  for (const name of ['job.lock', 'job.limit.1.new', 'job2.lock', 'job']) {
    await writeFile(join(folder, 'run', name), '');
  }
  await forgetState(state);
  expect((await readdir(join(folder, 'run'))).sort()).toEqual(['job', 'job2.lock']);
});

it('A process has its whole input, and the end of that when it is told nothing', async () => {
  const read = `until ! IFS= read -r line; do all+="$line "; done; [[ $all == "$0" ]]`;
  for (const [input, all] of [
    ['a\nb\n', 'a b '],
    ['', ''],
  ] as const) {
    const work = startDetached('bash', ['-c', read, all]);
    work.tell(input);
    expect(await work.exit).toBe(0);
  }
});
