/** Steps that write to the target pool, which may go away and come back meanwhile. */
import { failureDetails } from '../operation/failures.ts';
import type { ImageOperation } from './image-operation.ts';
import type { AwaitedPool, CopiesJob } from './activities.ts';

/** Runs a step; while the target pool is away, tells so, and waits. */
export async function withTargetPool<T>(
  op: ImageOperation,
  { plan: { to }, jobId }: CopiesJob,
  step: () => Promise<T>,
  until: AwaitedPool['until'] = 'reserved',
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

/** @param note what is away, and what to do about it */
export async function untilBack(op: ImageOperation, pool: AwaitedPool, note: string) {
  op.enter('waiting for the pool', { note });
  await op.host('awaitPool', pool, `wait for the file system of pool ${pool.to.pool}`);
}
