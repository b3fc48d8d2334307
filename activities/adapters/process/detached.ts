/**
 * Work that outlives the agent, found again by its state files, whose names begin alike: `.lock`,
 * which the process inherits, says that it runs, however the agent or it ends; `.pid` is believed
 * as long as the process of that number has its command line; reports are files beside them.
 */
import { mkdir, readdir, readFile, rm } from '../files/calls.ts';
import { basename, dirname, join } from 'node:path';
import { execa } from 'execa';
import { isLocked } from './file-lock.ts';
import { childEnvironment } from './environment.ts';

/** Exit codes of flock(1): the first is our choice, the second EX_UNAVAILABLE of a program. */
export const [RUNS_ALREADY, NOT_EXECUTED] = [75, 69];

/** The lock that all work of one state has. */
export const lockOf = (state: string) => `${state}.lock`;

/**
 * The command that does the work unless it is being done: flock(1) exits with RUNS_ALREADY then,
 * and becomes the command otherwise.
 */
export async function onlyOnce(
  state: string,
  command: readonly string[],
): Promise<[file: string, args: string[]]> {
  await mkdir(dirname(state), { recursive: true });
  const options = ['-n', '-F', '-E', `${RUNS_ALREADY}`];
  return ['flock', [...options, lockOf(state), ...command]];
}

export interface Detached {
  /** Its exit code, undefined when a signal ended it or it could not be started. */
  exit: Promise<number | undefined>;
  hasEnded(): boolean;
  /** Its whole input. Until then its input is open, and ends with the agent. */
  tell(input: string): void;
}

/** Starts a process in a session of its own, which ends neither with the agent nor by its ^C. */
export function startDetached(file: string, args: readonly string[]): Detached {
  const child = execa(file, [...args], {
    detached: true,
    env: childEnvironment(),
    extendEnv: false,
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'ignore',
    reject: false,
    cleanup: false,
  });
  child.stdin.on('error', () => undefined);
  let hasEnded = false;
  const exit = child.then(({ exitCode }) => exitCode);
  void exit.then(() => (hasEnded = true));
  return {
    exit,
    hasEnded: () => hasEnded,
    tell: (input) => void child.stdin.end(input),
  };
}

/**
 * Waits until the work has ended, which may be an earlier agent's.
 * @returns false when it still runs after `withinMs`
 */
export async function awaitEnd(state: string, withinMs?: number): Promise<boolean> {
  const until =
    withinMs === undefined ? new AbortController().signal : AbortSignal.timeout(withinMs);
  return !(await isLocked(lockOf(state), { until }));
}

/** Sends a signal to the recorded process, when its command line has this word. */
export async function endRecorded(
  state: string,
  word: string,
  signal: NodeJS.Signals,
): Promise<void> {
  const pid = Number(await readReport(`${state}.pid`));
  const cmdline = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
  if (pid > 0 && cmdline.includes(word)) process.kill(pid, signal);
}

/** What the work wrote into a file of its state; null when there is none. */
export const readReport = (path: string) => readFile(path, 'utf8').catch(() => null);

/** Removes all files of a state. */
export async function forgetState(state: string): Promise<void> {
  const names = await readdir(dirname(state)).catch(() => []);
  const own = names.filter((name) => name.startsWith(`${basename(state)}.`));
  await Promise.all(own.map((name) => rm(join(dirname(state), name), { force: true })));
}
