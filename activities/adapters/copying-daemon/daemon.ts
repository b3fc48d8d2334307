/**
 * One qemu-storage-daemon a job holds an image and copies its volumes. It outlives the agent, is
 * found again by its socket, and is started at most once, because a lock that it inherits decides
 * (docs/lab/qemu.md). A service manager that ends a unit's processes with it (systemd:
 * KillMode=control-group) would end the daemon; the copy then starts again.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { CommandError, run } from '../process/command.ts';
import {
  awaitEnd,
  endRecorded,
  forgetState,
  NOT_EXECUTED,
  onlyOnce,
  RUNS_ALREADY,
} from '../process/detached.ts';
import { qmp, QmpError, type QmpCommand } from './qmp.ts';
import { count, parseReply } from '../reply.ts';

/** Prefix of the state files of a job; short, because a socket's path has at most 107 bytes. */
export const copierState = (runtimeDir: string, jobId: string) =>
  join(runtimeDir, `copy-${jobId.replaceAll('-', '').slice(0, 16)}`);

/**
 * A monitor serves one client at a time; the second is there for when a stopped process keeps the
 * first.
 */
const sockets = (state: string) => [`${state}.s1`, `${state}.s2`];

/**
 * Lets glibc ask for huge pages. In small ones 1 MiB is all that a virtio disk takes in a request
 * (254 segments), in huge ones 4 MiB: a cold 4 GiB then takes 4.1 s instead of 5.6 s, with a third
 * of the processor time (docs/lab/qemu.md). Where there are none, nothing changes.
 */
const HUGE_PAGES = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };

/** `locked`: by another process; `missing`: the program; each with the tool's own words. */
export type CopierStart =
  { running: true } | { running: false; why: 'locked' | 'missing' | 'failed'; reason: string };

/**
 * Starts the daemon with a hold on each file, unless it runs. The hold is QEMU's own image lock:
 * no other process may open the file for writing or resize it. blkdebug takes it for any format and
 * needs no parent node (docs/lab/qemu.md).
 */
export async function startCopier(state: string, files: readonly string[]): Promise<CopierStart> {
  const monitors = sockets(state).flatMap((path, i) => [
    '--chardev',
    `socket,id=c${i},path=${path.replaceAll(',', ',,')},server=on,wait=off`,
    '--monitor',
    `chardev=c${i}`,
  ]);
  const holds = files.flatMap((filename, i) => [
    ...blockdev({ driver: 'file', 'node-name': `file${i}`, filename, 'read-only': true }),
    ...blockdev({
      driver: 'blkdebug',
      'node-name': `hold${i}`,
      image: `file${i}`,
      'read-only': true,
      'take-child-perms': ['consistent-read'],
      'unshare-child-perms': ['write', 'resize'],
    }),
  ]);
  const daemon = ['qemu-storage-daemon', '--daemonize', '--pidfile', `${state}.pid`];
  try {
    const start = await onlyOnce(state, [...daemon, ...monitors, ...holds]);
    await run(...start, { env: HUGE_PAGES });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    // Without the lock a second daemon would take over the socket of the first.
    if (error.exitCode !== RUNS_ALREADY) return refusalOf(error);
  }
  return { running: true };
}

/** What QEMU says when another process has one of its image locks, and of no other failure. */
export const LOCKED = /Failed to get (?:shared )?"[^"]*" lock|Is another process using the image/;

function refusalOf({ stderr: reason, exitCode }: CommandError): CopierStart {
  if (LOCKED.test(reason)) return { running: false, why: 'locked', reason };
  return { running: false, why: exitCode === NOT_EXECUTED ? 'missing' : 'failed', reason };
}

const blockdev = (options: Record<string, unknown>) => ['--blockdev', JSON.stringify(options)];

/** Gives commands to the job's daemon; null when none runs. */
export async function askCopier(
  state: string,
  commands: readonly QmpCommand[],
): Promise<unknown[] | null> {
  const [first = '', second = ''] = sockets(state);
  try {
    return await qmp(first, commands);
  } catch (error) {
    if (error instanceof QmpError) throw error;
    return qmp(second, commands);
  }
}

export const copierRuns = async (state: string) => (await askCopier(state, [])) !== null;

const QUIT_WITHIN_MS = 5000;

/** Ends the daemon with its jobs and holds, and forgets its files. */
export async function stopCopier(state: string): Promise<void> {
  await askCopier(state, [{ execute: 'quit' }]).catch(() => null);
  if (!(await awaitEnd(state, QUIT_WITHIN_MS))) {
    await endRecorded(state, `${state}.pid`, 'SIGKILL');
    await awaitEnd(state);
  }
  await forgetState(state);
}

/** QEMU's JobStatus, all of it: an unknown word is no state to conclude anything from. */
const status = z.enum([
  ...(['undefined', 'created', 'running', 'paused', 'ready', 'standby', 'waiting'] as const),
  ...(['pending', 'aborting', 'concluded', 'null'] as const),
]);
const jobList = z.array(
  z.object({
    id: z.string(),
    status,
    'current-progress': count,
    'total-progress': count,
    error: z.string().min(1).optional(),
  }),
);
const ioStatus = z.enum(['ok', 'failed', 'nospace']);
const blockJobList = z.array(z.object({ device: z.string(), 'io-status': ioStatus }));

export interface CopyJob {
  /** QEMU's word: running, paused, ready, concluded, ... */
  status: string;
  copiedBytes: number;
  totalBytes: number;
  /** True while the job waits for space on the target. */
  noSpace: boolean;
  error: string | null;
}

/** The copy job of one volume; null when the daemon has none, or does not run. */
export async function observeCopy(state: string, id: string): Promise<CopyJob | null> {
  const answers = await askCopier(state, [
    { execute: 'query-jobs' },
    { execute: 'query-block-jobs' },
  ]);
  return answers && parseCopy(answers, id);
}

/** The job of this name in the answers of `query-jobs` and `query-block-jobs`. */
export function parseCopy(answers: readonly unknown[], id: string): CopyJob | null {
  const jobs = parseReply(jobList, 'query-jobs', answers[0]);
  const blocks = parseReply(blockJobList, 'query-block-jobs', answers[1]);
  const job = jobs.find((found) => found.id === id);
  if (!job) return null;
  const block = blocks.find((found) => found.device === id);
  return {
    status: job.status,
    copiedBytes: job['current-progress'],
    totalBytes: job['total-progress'],
    noSpace: block?.['io-status'] === 'nospace',
    error: job.error ?? null,
  };
}

/** The copy jobs that still read or write. */
export async function runningCopies(state: string): Promise<string[]> {
  const answers = await askCopier(state, [{ execute: 'query-jobs' }]);
  const jobs = answers ? parseReply(jobList, 'query-jobs', answers[0]) : [];
  return jobs.filter(({ status }) => status !== 'concluded').map(({ id }) => id);
}
