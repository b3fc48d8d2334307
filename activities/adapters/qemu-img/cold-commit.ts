/**
 * An offline commit that outlives the agent: started once, followed and found again by its files.
 */
import { mkdir, open, readFile, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import type { FileFacts } from '../files/files.ts';
import { percentOf } from './qemu-img.ts';

const script = fileURLToPath(new URL('cold-commit.bash', import.meta.url));

/** Prefix of the state files of a job. */
export const coldCommitState = (runtimeDir: string, jobId: string) =>
  join(runtimeDir, `commit-${jobId}`);

/**
 * Starts `qemu-img` with `args`, and resolves when it has ended. Unless it runs already (a lock
 * decides): then when that run has; or an earlier end is still recorded.
 * @param volumes what its end is to be told with
 */
export async function runColdCommit(
  state: string,
  volumes: readonly string[],
  args: readonly string[],
): Promise<void> {
  await mkdir(dirname(state), { recursive: true });
  const run = ['bash', script, state, ...volumes, '--', ...args];
  const command = ['-n', '-E', '75', `${state}.lock`, ...run];
  const options = { detached: true, stdio: 'ignore', reject: false, cleanup: false } as const;
  const { exitCode } = await execa('flock', command, options);
  // 75: an earlier life of the agent started it, and it still runs. Its end frees the lock.
  if (exitCode === 75) await execa('flock', [`${state}.lock`, 'true'], { stdio: 'ignore' });
}

export interface ColdCommitEnd {
  code: number;
  error: string;
  /** What the volumes were when it had ended: `fileState` of each. */
  fingerprints: string[];
}

/** How the last run ended: null while it runs, or when it was killed. */
export async function coldCommitEnd(state: string): Promise<ColdCommitEnd | null> {
  const report = await readFile(`${state}.exit`, 'utf8').catch(() => '');
  const [code = '', ...files] = report.trimEnd().split('\n');
  // An empty file is no 0.
  if (!/^\d+$/.test(code)) return null;
  const error = await readFile(`${state}.error`, 'utf8').catch(() => '');
  // stat(1) writes seconds and nanoseconds with a point between.
  const fingerprints = files.map((file) => file.replace('.', ''));
  return { code: Number(code), error: error.trim(), fingerprints };
}

/** Another file, and another state of the same one, has another. */
export const fileState = ({ identity, sizeBytes, modifiedNs }: FileFacts) =>
  `${identity} ${sizeBytes} ${modifiedNs}`;

/** So that it may run again. */
export const forgetColdCommitEnd = (state: string) => rm(`${state}.exit`, { force: true });

/** Percent done, from the tail of what qemu-img prints. */
export async function coldCommitPercent(state: string): Promise<number> {
  const file = await open(`${state}.progress`, 'r').catch(() => null);
  if (!file) return 0;
  try {
    const { size } = await file.stat();
    const tail = Buffer.alloc(64);
    const { bytesRead } = await file.read(tail, 0, 64, Math.max(0, size - 64));
    return percentOf(tail.toString('latin1', 0, bytesRead)) ?? 0;
  } finally {
    await file.close();
  }
}

/**
 * Ends a run. Safe at any time: the top stays complete, and the same commit can run again (H11).
 */
export async function stopColdCommit(state: string): Promise<void> {
  const pid = Number(await readFile(`${state}.pid`, 'utf8').catch(() => '0'));
  const cmdline = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
  if (pid > 0 && cmdline.includes('qemu-img')) process.kill(pid, 'SIGTERM');
  await execa('flock', [`${state}.lock`, 'true'], { stdio: 'ignore', reject: false });
}

/** Forgets a job's state files. */
export async function removeColdCommit(state: string): Promise<void> {
  const names = await readdir(dirname(state)).catch(() => []);
  const own = names.filter((name) => name.startsWith(`${basename(state)}.`));
  await Promise.all(own.map((name) => rm(join(dirname(state), name), { force: true })));
}
