/**
 * An offline commit that outlives the agent: started once, followed and found again by its files.
 */
import { mkdir, open, readFile, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

const script = fileURLToPath(new URL('cold-commit.bash', import.meta.url));

/** Prefix of the state files of a job. */
export const coldCommitState = (runtimeDir: string, jobId: string) =>
  join(runtimeDir, `commit-${jobId}`);

/**
 * Starts `qemu-img` with `args` unless it runs already (a lock decides), and resolves when that run
 * has ended.
 * @returns its exit code, or null when it was killed or another run's end was waited for.
 */
export async function runColdCommit(state: string, args: readonly string[]): Promise<void> {
  await mkdir(dirname(state), { recursive: true });
  const command = ['-n', '-E', '75', `${state}.lock`, 'bash', script, state, ...args];
  const options = { detached: true, stdio: 'ignore', reject: false, cleanup: false } as const;
  const { exitCode } = await execa('flock', command, options);
  // 75: an earlier life of the agent started it, and it still runs. Its end frees the lock.
  if (exitCode === 75) await execa('flock', [`${state}.lock`, 'true'], { stdio: 'ignore' });
}

/** How the last run ended: null while it runs, or when it was killed. */
export async function coldCommitExit(
  state: string,
): Promise<{ code: number; error: string } | null> {
  const code = await readFile(`${state}.exit`, 'utf8').catch(() => '');
  // An empty file is no 0.
  if (!/^\d+\n$/.test(code)) return null;
  const error = await readFile(`${state}.error`, 'utf8').catch(() => '');
  return { code: Number(code), error: error.trim() };
}

/** Percent done, from the tail of what qemu-img prints (`(12.34/100%)` and carriage returns). */
export async function coldCommitPercent(state: string): Promise<number> {
  const file = await open(`${state}.progress`, 'r').catch(() => null);
  if (!file) return 0;
  try {
    const { size } = await file.stat();
    const tail = Buffer.alloc(64);
    const { bytesRead } = await file.read(tail, 0, 64, Math.max(0, size - 64));
    const found = [...tail.toString('latin1', 0, bytesRead).matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)];
    return Number(found.at(-1)?.[1] ?? 0);
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
