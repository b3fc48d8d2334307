/** Steps that write to a pool, which may become unavailable and come back meanwhile. */
import type { CopyTarget } from '../chain/references.ts';
import type { Agent } from '../operation/activities.ts';
import { failureDetails } from '../operation/failures.ts';
import type { AnyOperation } from '../operation/operation.ts';
import { sizeWords } from '../operation/words.ts';
import type { AwaitedPool, poolsOnHost } from './activities.ts';

/** An operation that may wait, and the agent that waits for it. */
export interface Waiting extends AnyOperation {
  host: Agent<Pick<typeof poolsOnHost, 'awaitPool' | 'awaitSpace'>>;
  enter(phase: string, changes: { note: string | null }): void;
}

/** Each pool once. */
export const eachPool = (targets: readonly CopyTarget[]): CopyTarget[] => [
  ...new Map(targets.map((to) => [to.pool, to])).values(),
];

/** What is known of copies without the rest of their plan. */
export interface CopiesJob {
  plan: { to: CopyTarget };
  jobId: string;
}

/** Runs a step; while the pool is unavailable, reports so, and waits. */
export async function withPool<T>(
  op: Waiting,
  { to, jobId, until }: AwaitedPool,
  step: () => Promise<T>,
): Promise<T> {
  for (;;) {
    const { phase } = op.status;
    try {
      return await step();
    } catch (error) {
      const details = failureDetails(error)?.details;
      if (details?.code !== 'pool-away') throw error;
      await untilBack(op, { to, jobId, until }, `${details.now}. ${details.next}`);
    }
    op.enter(phase, { note: null });
  }
}

/** @param note what is unavailable, and what to do about it */
export async function untilBack(op: Waiting, pool: AwaitedPool, note: string): Promise<void> {
  op.enter('waiting for the pool', { note });
  await op.host.awaitPool(pool, `wait for the file system of pool ${pool.to.pool}`);
}

interface Lack {
  path: string;
  neededBytes: number;
  freeBytes: number;
}

/** Waits until a file system has the space that a plan needs. @param truth what is untouched */
export async function untilSpace(op: Waiting, lack: Lack, truth: string): Promise<void> {
  const { path, neededBytes, freeBytes } = lack;
  const missing = sizeWords(neededBytes - freeBytes);
  op.enter('waiting for space', {
    note: `${missing} are missing on the file system of ${path}; ${truth}`,
  });
  await op.host.awaitSpace({ path, neededBytes }, `wait for ${missing} of space`);
}
