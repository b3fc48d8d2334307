/** Copies that are not wanted any more, as the transfer failed, was cancelled, or begins again. */
import { CancellationScope, uuid4 } from '@temporalio/workflow';
import { deleteCopies } from '../removal/detached.ts';
import { retry } from '../operation/failures.ts';
import type { ImageOperation } from './image-operation.ts';
import type { ImagePlan } from './schemas.ts';
import type { CopiesJob } from './activities.ts';
import { withTargetPool } from './pool-waiting.ts';

/** The scope that can be undone: by a workflow of its own, for which nobody waits. */
export async function undoOnFailure<T>(
  op: ImageOperation,
  plan: ImagePlan,
  body: () => Promise<T>,
): Promise<T> {
  try {
    return await body();
  } catch (error) {
    const { part } = op;
    await CancellationScope.nonCancellable(() => undo(op, plan));
    op.part = part;
    throw error;
  }
}

async function undo(op: ImageOperation, plan: ImagePlan): Promise<void> {
  op.enter('cancelling');
  try {
    await release(op, op.jobId);
    op.truth = `the source is untouched, ${await deleteCopies(op, plan)} deletes its copies`;
  } catch (failed) {
    op.truth = `the source is untouched, its copies are not deleted: ${String(failed)}`;
  }
}

/** Times that somebody may write to the source between plan and hold, before it is given up. */
const ATTEMPTS = 3;

/**
 * Before it is planned again, what was copied in vain goes. A cancel leaves it to the undo.
 * @param reason why this attempt was in vain
 */
export async function beginAgain(
  op: ImageOperation,
  plan: ImagePlan,
  { attempted, attempt, reason }: { attempted: string; attempt: number; reason: string },
): Promise<void> {
  await undoOnFailure(op, plan, () => discard(op, plan, op.jobId));
  if (attempt === ATTEMPTS) {
    throw retry('command-failed', {
      attempted,
      now: `it was changed each time between plan and copy (${reason})`,
      next: 'Keep the VM down and its disk unwritten, then repeat the request',
    });
  }
  // A copy that begins anew has a reservation of its own.
  op.jobId = uuid4();
  op.owner = op.jobId;
  op.enter('planning', { note: reason });
}

/** Ends a job's daemon, and with it copy and hold; then its copies go, under whatever name. */
export async function discard(
  op: ImageOperation,
  plan: CopiesJob['plan'],
  jobId: string,
  targets: 'delete' | 'keep' = 'delete',
): Promise<void> {
  await release(op, jobId);
  const what = targets === 'delete' ? 'the copies' : 'the reservation of copies in use';
  await removeReservation(op, { plan, jobId }, targets, what);
}

export const release = (op: ImageOperation, jobId: string) =>
  op.host('ensureImageReleased', { jobId }, 'end the copy, let go of the source');

/** After it, only the final names of the copies are left, or nothing. */
export async function removeReservation(
  op: ImageOperation,
  job: CopiesJob,
  targets: 'delete' | 'keep',
  what: string,
): Promise<void> {
  const { plan, jobId } = job;
  const input = { to: plan.to, jobId, targets, owners: null };
  const summary = `remove ${what} from pool ${plan.to.pool}`;
  const remove = () => op.spm(plan.to.pool)('ensureReservationAbsent', input, summary);
  await withTargetPool(op, job, remove, 'mounted');
}
