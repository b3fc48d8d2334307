/** A disk that stands on the copies of an earlier move, with another chain than that has made. */
import { hold } from '../../../../workflows/operation/failures.ts';
import { reservationFolder } from '../../../pool-folder/reservation.ts';
import type { Image } from '../../chain/observe-image.ts';
import { isUnfinishedOn } from '../../../pool-folder/unfinished-move.ts';
import type { EarlierRun } from './earlier-runs.ts';

/**
 * That move had switched and was ended before it had deleted its source. Ours refuse to change the
 * disk then, so something else has done that.
 * @throws Hold `divergent-chain`
 */
export function assertUnchangedSince(
  attempted: string,
  image: Image,
  earlier: readonly EarlierRun[],
): void {
  const run = earlier.find((each) => isUnfinishedOn(image.volumes, each));
  if (!run) return;
  const { jobId, plan } = run;
  const source = plan.volumes.map(({ path }) => path).join(', ');
  throw hold('divergent-chain', {
    attempted,
    now:
      `move ${jobId} has switched the disk to its copies, and the chain has changed since: ` +
      `nothing was touched, and its source is not deleted (${source})`,
    next:
      'Find out what changed the chain. When nothing needs the source, delete it ' +
      `(\`blockflow rm\`), and then the folder ${reservationFolder(plan.to.folder, jobId)}`,
  });
}
