/** Steps that write to the target pool, which may go away and come back meanwhile. */
import { failureDetails } from './failures.ts';
import type { ImageOperation } from './image-operation.ts';
import type { ImageJob } from './move-contract.ts';

/** Runs a step; while the target pool is away, tells so, and waits. */
export async function withTargetPool<T>(
  op: ImageOperation,
  { plan, jobId }: ImageJob,
  step: () => Promise<T>,
): Promise<T> {
  for (;;) {
    const { phase } = op.status;
    try {
      return await step();
    } catch (error) {
      const details = failureDetails(error)?.details;
      if (details?.code !== 'pool-away') throw error;
      op.enter('waiting for the pool', { note: `${details.now}. ${details.next}` });
    }
    const { pool, folder } = plan.to;
    await op.host('awaitPool', { pool, folder, jobId }, `wait for the file system of pool ${pool}`);
    op.enter(phase, { note: null });
  }
}
