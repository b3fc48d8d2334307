/** The headers of the copies get the names of their own chain. */
import { failureDetails, givenUp } from '../../../workflows/operation/failures.ts';
import type { ImageJob } from '../../../workflows/transfer/activities.ts';
import { stagedFile } from '../../pool-folder/reservation.ts';
import { isToolFailure } from '../../adapters/process/command.ts';
import { assertReserved } from '../../pool-folder/presence.ts';
import type { HostDeps } from '../deps.ts';
import { assertOnCopyBelow } from './copies.ts';
import { writeBackingName } from '../chain/backing-name.ts';

/**
 * The chain of the copies refers only to the copies. The names may not exist yet. A copy whose
 * header could not be written is given up.
 */
export async function ensureBackingNames(deps: HostDeps, job: ImageJob): Promise<void> {
  const { plan, jobId } = job;
  const attempted = 'letting the copies refer to the copies only';
  for (const [at, { rebase }] of plan.volumes.entries()) {
    if (rebase) assertOnCopyBelow(plan, at, rebase);
  }
  await assertReserved(job, attempted);
  for (const { name, format, rebase } of plan.volumes) {
    if (!rebase) continue;
    const path = stagedFile(plan.to.folder, jobId, name, 'ready');
    try {
      await writeBackingName(deps, { path, format, backing: rebase });
    } catch (error) {
      if (!isOfStorage(error)) throw error;
      // A pool that became unavailable is an error, too: it is waited for.
      await assertReserved(job, attempted);
      const now = failureDetails(error)?.details.now ?? String(error);
      const next = 'Look at the disk of that pool, then repeat the request';
      throw givenUp({ attempted, now, next }, error);
    }
  }
}

/** Told by the file system, by a tool, or by what the disk has. */
const isOfStorage = (error: unknown) =>
  isToolFailure(error) ||
  failureDetails(error) !== null ||
  (error as NodeJS.ErrnoException).code !== undefined;
