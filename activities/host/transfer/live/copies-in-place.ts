/** The last look before a mirror's end: the copies are what was made, under their names. */
import type { ImageJob } from '../../../../workflows/transfer/activities.ts';
import { isReserved } from '../../../pool-folder/presence.ts';
import type { HostDeps } from '../../deps.ts';
import { goneCopy } from '../copies.ts';
import { ensureImageHeld } from '../ensure-image-held.ts';

interface Missing {
  outcome: 'changed' | 'pool-away';
  reason: string;
}

/** Null when the lower layers are held and unwritten, and every copy has its name. */
export async function missingCopies(deps: HostDeps, job: ImageJob): Promise<Missing | null> {
  const { to } = job.plan;
  const held = await ensureImageHeld(deps, job);
  if (held.outcome !== 'held') return { outcome: 'changed', reason: held.reason };
  const gone = await goneCopy(job);
  if (gone === null) return null;
  if (!(await isReserved(to, job.jobId))) {
    const reason = `${to.folder} does not hold the copies. Mount pool ${to.pool} again`;
    return { outcome: 'pool-away', reason };
  }
  return { outcome: 'changed', reason: `${gone} is not the copy that was made (any more)` };
}
