/** Copies that are not wanted any more, as the transfer failed, was cancelled, or begins again. */
import { uuid4 } from '@temporalio/workflow';
import { named } from '../chain/other-hosts.ts';
import { retry } from '../operation/failures.ts';
import { undoable } from '../operation/point-of-no-return.ts';
import { fileName } from '../operation/words.ts';
import { withPool, type CopiesJob } from '../pools/waiting.ts';
import { startRemoval } from '../removal/detached.ts';
import type { ImageJob } from './activities.ts';
import { activeLayer, formatOf } from './copied.ts';
import type { ImagePlan } from './plan.ts';
import type { Transfer } from './transfer.ts';

/**
 * What can be undone is: by a workflow of its own, which this operation does not wait for. Where
 * the VM is on its copy already, `hasSwitched` says so.
 */
export function undoOnFailure<T>(
  op: Transfer,
  plan: ImagePlan,
  body: () => T | Promise<T>,
): Promise<T> {
  return undoable(body, async () => {
    const { part } = op;
    await undo(op, plan);
    op.part = part;
    return null;
  });
}

async function undo(op: Transfer, plan: ImagePlan): Promise<void> {
  op.enter('cancelling');
  try {
    await release(op, op.jobId);
    op.truth = `the source is untouched, ${await deleteCopies(op, plan)} deletes its copies`;
  } catch (failed) {
    if (op.hasSwitched) return;
    op.truth = `the source is untouched, its copies are not deleted: ${String(failed)}`;
  }
}

/** Times that the source may change between plan and hold, before it is given up. */
const ATTEMPTS = 3;

/**
 * Before it is planned again, what was copied in vain goes. A cancel leaves it to the undo.
 * @param reason why this attempt was in vain
 */
export async function beginAgain(
  op: Transfer,
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
  // A copy that begins again has a reservation of its own.
  op.jobId = uuid4();
  op.owner = op.jobId;
  op.enter('planning', { note: reason });
}

/** Ends a job's daemon, and with it copy and hold; then its copies go, under whatever name. */
export async function discard(
  op: Transfer,
  plan: CopiesJob['plan'],
  jobId: string,
  targets: 'delete' | 'keep' = 'delete',
): Promise<void> {
  await release(op, jobId);
  const what = targets === 'delete' ? 'the copies' : 'the reservation of copies in use';
  await removeReservation(op, { plan, jobId }, targets, what);
}

export async function release(op: Transfer, jobId: string): Promise<void> {
  if (op.mirroring?.jobId === jobId) await endMirror(op, op.mirroring);
  await op.host.ensureImageReleased({ jobId }, 'end the copy, release the source');
}

/** @throws when the VM is on the copies already */
export async function endMirror(op: Transfer, job: ImageJob): Promise<void> {
  const { outcome } = await op.host.ensureMirrorEnded(job, 'end the mirror, prove the chain');
  if (outcome === 'ended') return;
  op.hasSwitched = true;
  throw retry('command-failed', {
    attempted: `ending the mirror of ${op.id}`,
    now: 'the VM has its copies already; source and copies are both kept',
    next: 'Repeat the request: it completes the move',
  });
}

/** Another image may already stand on the copies, so nothing is deleted: a person has to look. */
export async function keepBoth(op: Transfer, error: unknown): Promise<never> {
  await op.host.ensureImageReleased({ jobId: op.jobId }, 'release the source and the copies');
  op.truth = 'source and copies are both kept: `blockflow chain` says which the record names';
  throw error;
}

/** After it, only the final names of the copies are left, or nothing. */
export async function removeReservation(
  op: Transfer,
  job: CopiesJob,
  targets: 'delete' | 'keep',
  what: string,
): Promise<void> {
  const { plan, jobId } = job;
  const input = { to: plan.to, jobId, targets, owners: null };
  const summary = `remove ${what} from pool ${plan.to.pool}`;
  const remove = () => op.spm(plan.to).ensureReservationAbsent(input, summary);
  await withPool(op, { to: plan.to, jobId, until: 'mounted' }, remove);
}

/** The source, with `--wipe` or without. @returns the workflow's id */
export function deleteSource(
  op: Transfer,
  { volumes: all }: ImagePlan,
  wipe: boolean,
): Promise<string> {
  const { pool, path: top, format } = activeLayer(all);
  const left = { jobId: op.jobId, volumes: all.map(named) };
  return startRemoval(op, { pool, volume: fileName(top), format, wipe, left, copies: null });
}

/** The copies, unless a repeated request is faster and adopts them. @returns the workflow's id */
function deleteCopies(op: Transfer, plan: ImagePlan): Promise<string> {
  const active = activeLayer(plan.volumes);
  const [volume, format] = [active.name, formatOf(active)];
  const { to, adopted } = plan;
  const owners = [op.owner, ...(adopted ? [adopted.owner] : [])];
  const copies = { jobId: op.jobId, owners, to };
  return startRemoval(op, { pool: to.pool, volume, format, wipe: false, left: null, copies });
}

/**
 * The copies that earlier runs made in other pools, once this one's are complete: until then they
 * may be all there is, if the source of a standalone image is being deleted already.
 * @returns warnings
 */
export async function deleteElsewhere(op: Transfer, { elsewhere }: ImagePlan): Promise<string[]> {
  const warnings: string[] = [];
  for (const { jobId, owner, to, volume, format, isUsed } of elsewhere) {
    if (isUsed) continue;
    const copies = { jobId, owners: [owner], to };
    const removal = { pool: to.pool, volume, format, wipe: false, left: null, copies };
    await startRemoval(op, removal).catch((error: unknown) => {
      warnings.push(`the copies of job ${jobId} in pool ${to.pool} stay: ${String(error)}`);
    });
  }
  return warnings;
}
