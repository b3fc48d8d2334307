import type { AwaitedPool } from '../../../workflows/pools/activities.ts';
import { waitUntil } from '../../door/polling.ts';
import { isReserved, mountOf } from '../../pool-folder/presence.ts';

/** Waits until the pool holds again what was reserved in it, or one sees that it does not. */
export function awaitPool({ to, jobId, until: wanted }: AwaitedPool): Promise<void> {
  return waitUntil(async () => {
    const isThere = wanted === 'reserved' ? isReserved(to, jobId) : mountOf(to, jobId);
    return (await isThere) ? null : `pool ${to.pool} is unavailable: ${to.folder} is not mounted`;
  });
}
