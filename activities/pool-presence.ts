/** Whether the pool that an image is copied to is there: its file system can go at any time. */
import { dirname } from 'node:path';
import { poolAway, retry } from '../workflows/failures.ts';
import type { ImageJob } from '../workflows/move-contract.ts';
import type { NamedVolume } from '../workflows/schemas.ts';
import { observeFile } from './adapters/files.ts';
import { manifestOf } from './adapters/image-files.ts';
import { identityIn } from './adapters/pool-identity.ts';

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

/**
 * The volume with its `device:inode` on this host.
 * @param folder where its pool is here
 * @throws Retry `pool-away` when that is not the file system that was planned with
 */
export async function onThisHost(
  volume: NamedVolume,
  attempted: string,
  folder = dirname(volume.path),
): Promise<NamedVolume> {
  const identity = await identityIn(folder, volume);
  if (identity !== null) return { ...volume, identity };
  throw otherStorage(volume.pool, folder, attempted);
}

export const otherStorage = (pool: string, folder: string, attempted: string) =>
  retry('pool-away', {
    attempted,
    now: `${folder} is not the file system of pool ${pool} that was planned with`,
    next:
      'Mount it again, and blockflow goes on by itself; storage that hosts do not share ' +
      'needs another pool name on each',
  });
