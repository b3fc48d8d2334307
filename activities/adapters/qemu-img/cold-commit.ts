/**
 * An offline commit that outlives the agent: started once, followed and found again by its files.
 */
import { open, rm } from '../files/calls.ts';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FileFacts } from '../files/files.ts';
import {
  awaitEnd,
  endRecorded,
  onlyOnce,
  readReport,
  RUNS_ALREADY,
  startDetached,
} from '../process/detached.ts';
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
  const run = ['bash', script, state, ...volumes, '--', ...args];
  const started = startDetached(...(await onlyOnce(state, run)));
  started.tell('');
  // An earlier life of the agent started it, and it still runs.
  if ((await started.exit) === RUNS_ALREADY) await awaitEnd(state);
}

export interface ColdCommitEnd {
  code: number;
  error: string;
  /** What the volumes were when it had ended: `fileState` of each. */
  fingerprints: string[];
}

/** How the last run ended: null while it runs, or when it was killed. */
export async function coldCommitEnd(state: string): Promise<ColdCommitEnd | null> {
  const report = (await readReport(`${state}.exit`)) ?? '';
  const [code = '', ...files] = report.trimEnd().split('\n');
  // An empty file is no 0.
  if (!/^\d+$/.test(code)) return null;
  const error = (await readReport(`${state}.error`)) ?? '';
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
  await endRecorded(state, 'qemu-img', 'SIGTERM');
  await awaitEnd(state);
}
