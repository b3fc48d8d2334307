/** Whether the pool that an image is copied to is there: its file system can go at any time. */
import { poolAway } from '../workflows/failures.ts';
import type { ImageJob } from '../workflows/move-contract.ts';
import { observeFile } from './adapters/files.ts';
import { manifestOf } from './adapters/image-files.ts';

/** A folder that has lost the reservation of a running job is not mounted, or does not answer. */
export const isReserved = async (poolFolder: string, jobId: string): Promise<boolean> =>
  (await observeFile(manifestOf(poolFolder, jobId)).catch(() => null)) !== null;

/** @throws Retry `pool-away`, which the workflow tells and waits for */
export async function assertReserved({ plan, jobId }: ImageJob, attempted: string): Promise<void> {
  const { pool, folder } = plan.to;
  if (await isReserved(folder, jobId)) return;
  throw poolAway({
    attempted,
    now: `pool ${pool} is away: ${folder} does not hold what was reserved there`,
    next: 'Mount its file system again; blockflow goes on by itself',
  });
}
