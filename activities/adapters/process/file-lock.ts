/**
 * Locks of files that die with this process: flock(1) locks a descriptor that it inherits, the lock
 * belongs to our open file, and the kernel ends it with us, however we end. So no stale lock is
 * ever judged.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { mkdir, open, stat, type FileHandle } from '../files/calls.ts';
import { unlessSilent } from './asking.ts';
import { dirname } from 'node:path';
import { childEnvironment } from './environment.ts';

const TAKEN = 75;
const OWNER_ONLY = 0o600;

export interface LockOptions {
  /** Ends the wait for the lock. Without it the call does not wait. */
  until?: AbortSignal;
}

/**
 * Opens the file, made when it is missing, and locks it.
 * @returns null when another process has the lock (still, when the wait was ended)
 * @throws what `open` says; an Error with the words of flock(1)
 */
export async function lockFile(
  path: string,
  { until }: LockOptions = {},
): Promise<FileHandle | null> {
  await mkdir(dirname(path), { recursive: true });
  for (;;) {
    // No flag of `open` in words makes a file without emptying it and writes in place.
    const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
    const file = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, OWNER_ONLY);
    await keepFromOthers(file);
    const isLocked = await lock(file, until).catch(async (error: unknown) => {
      await file.close();
      throw error;
    });
    if (isLocked && (await hasName(file, path))) return file;
    await file.close();
    // If it was removed while we waited, no other process would meet this lock.
    if (!isLocked) return null;
  }
}

/** True while some process has the lock; with `until` it waits to see that none has. */
export async function isLocked(path: string, { until }: LockOptions = {}): Promise<boolean> {
  const file = await open(path, 'r+').catch(unlessSilent(null));
  if (!file) return false;
  try {
    return !(await lock(file, until));
  } finally {
    await file.close();
  }
}

async function lock(file: FileHandle, until?: AbortSignal): Promise<boolean> {
  const wait = until ? [] : ['--nonblock', '--conflict-exit-code', String(TAKEN)];
  // Not execa: its types know no descriptor of ours as a child's fourth.
  const child = spawn('flock', ['--exclusive', ...wait, '3'], {
    env: childEnvironment(),
    stdio: ['ignore', 'ignore', 'inherit', file.fd],
    ...(until ? { signal: until } : {}),
  });
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code === 0) return true;
    if (code === TAKEN) return false;
    throw new Error(`flock failed with ${code ?? 'a signal'}`);
  } catch (error) {
    if (until?.aborted) return false;
    throw error;
  }
}

/** A lock is taken by who may open its file; one of an earlier version could be read by all. */
async function keepFromOthers(file: FileHandle): Promise<void> {
  const { uid, mode } = await file.stat();
  if (uid === process.geteuid?.() && (mode & 0o077) !== 0) await file.chmod(OWNER_ONLY);
}

async function hasName(file: FileHandle, path: string): Promise<boolean> {
  const [ours, named] = await Promise.all([file.stat(), stat(path).catch(() => null)]);
  return named !== null && named.dev === ours.dev && named.ino === ours.ino;
}
