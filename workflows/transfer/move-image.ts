/**
 * MoveImage: copies an image with all its volumes to another pool, switches the VM's record to the
 * copies, and leaves the source's deletion to a workflow of its own, for which it does not wait.
 *
 *   planning ─ reserving ─ copying ─ verifying ─ naming ─ switching ─ finished
 *      │                     └─ waiting for the pool          └── RemoveImage of the source
 *      └─ waiting for space  └── RemoveImage of the copies, when it is undone
 *
 * Steps, and what is durable when each is done:
 *  1. plan     nothing outside; the plan is in the history. Refuses early.
 *  2. reserve  empty targets in the target pool's `.blockflow/<job>/`, with a note of whose they
 *              are.
 *  3. copy     one daemon holds all volumes by QEMU's own locks and copies one after the other, or
 *              converts the only one; each is flushed, and its name says how far it is. The daemon
 *              outlives the agent.
 *  4. verify   nothing; each copy was compared with its source before any header is changed: byte
 *              for byte, a converted one in all that a guest reads.
 *  5. name     the copies have their final names; reserved names tell that they are ours.
 *  6. switch   POINT OF NO RETURN. The VM's persistent XML names the copies, its snapshots'
 *              metadata follows, all flushed and read back, still held. A crash in between: the XML
 *              decides, and the rest is made to follow it. A pool that is unavailable is waited for
 * first.
 *  7. release  the hold is gone: the VM may start, from the copies.
 *  8. delete   RemoveImage of the source has been started; then the reservation is gone. Then the
 *              report.
 *
 * Cancel or failure: before 6 the source is exactly what it was, and RemoveImage of the copies is
 * started without waiting for it; after it, a cancel is refused and the move completed. Terminate:
 * the next request finds the reservation and goes on from there.
 * Invariants: I3 (RemoveImage proves), I6 (every step observes first), I8, I9, I10, I14 (3, 4), I15
 * (1, 3), I17.
 */
import type { Operation } from '../operation/operation.ts';
import { vmGone } from '../operation/failures.ts';
import { forwardOnly } from '../operation/point-of-no-return.ts';
import { run } from '../operation/run.ts';
import { sizeWords } from '../operation/words.ts';
import { untilBack } from '../pools/waiting.ts';
import type { ImageJob } from './activities.ts';
import { planTransfer, untilNamed } from './copying.ts';
import { moveKind, type TransferResult } from './kind.ts';
import type { ImagePlan } from './plan.ts';
import type { MoveImageInput } from './request.ts';
import { openTransfer, type Transfer } from './transfer.ts';
import {
  beginAgain,
  deleteElsewhere,
  deleteSource,
  removeReservation,
  undoOnFailure,
} from './unwanted-copies.ts';

type Move = Transfer & Operation<typeof moveKind>;

export function MoveImage(request: MoveImageInput): Promise<TransferResult> {
  return run(moveKind, request, (op) => move(openTransfer(op)));
}

async function move(op: Move): Promise<TransferResult> {
  for (let attempt = 1; ; attempt++) {
    const planned = await planTransfer(op, { operation: 'MoveImage', ...op.input }); // 1
    if (planned.kind === 'done') return alreadyThere(op, planned);
    const { plan } = planned;
    const again = plan.switched
      ? null
      : ((await untilNamed(op, plan)) ?? (await switchRecord(op, plan))); // 2-6
    if (again === null) {
      op.point.isBehind();
      return forwardOnly(() => finishMove(op, plan)); // 7-8
    }
    await beginAgain(op, plan, { attempted: `moving ${op.id}`, attempt, reason: again });
  }
}

/** 6: @returns why it did not happen; null when it did */
async function switchRecord(op: Move, plan: ImagePlan): Promise<string | null> {
  const job: ImageJob = { plan, jobId: op.jobId };
  const summary = `switch the record of ${op.id} to pool ${plan.to.pool}`;
  for (;;) {
    op.enter('switching', { note: null });
    await undoOnFailure(op, plan, () => op.point.pass());
    const done = await forwardOnly(() =>
      op.host.ensureRecordSwitched(job, summary).catch((error: unknown) => keepBoth(op, error)),
    );
    if (done.outcome === 'switched') return null;
    const { outcome, reason } = done;
    op.point.takeBack(reason);
    if (outcome === 'not-switched') return reason;
    // Without a record nothing names the copies: the undo is safe.
    if (outcome === 'gone') return undoOnFailure(op, plan, () => throwGone(op, plan));
    const pool = { to: plan.to, jobId: op.jobId, until: 'reserved' as const };
    await undoOnFailure(op, plan, () => untilBack(op, pool, reason));
  }
}

function throwGone(op: Move, { vm }: ImagePlan): never {
  const truth = 'its source is as it was, and the copies are deleted';
  throw vmGone(`moving ${op.id}`, vm?.name ?? '', truth);
}

/** Another image may already stand on the copies, so nothing is deleted: a person has to look. */
async function keepBoth(op: Move, error: unknown): Promise<never> {
  await op.host.ensureImageReleased({ jobId: op.jobId }, 'release the source and the copies');
  op.truth = 'source and copies are both kept: `blockflow chain` says which the record names';
  throw error;
}

/** 7 and 8. */
async function finishMove(op: Move, plan: ImagePlan): Promise<TransferResult> {
  const { jobId } = op;
  op.enter('deleting');
  // The rest of a switch that a terminated run began: its snapshots may still name the source.
  if (plan.switched) await op.host.ensureRecordSwitched({ plan, jobId }, 'complete the switch');
  await op.host.ensureImageReleased({ jobId }, 'release the source and the copies'); // 7
  const removal = await deleteSourceOrWarn(op, plan); // 8
  const left = [...removal.warnings, ...(await deleteElsewhere(op, plan))];
  await removeReservation(op, { plan, jobId }, 'keep', 'the reservation');
  const size = `${plan.volumes.length} volume(s), ${sizeWords(plan.totalBytes)}`;
  const source = removal.id ? `${removal.id} deletes the source` : 'the source is still there';
  return {
    outcome: 'moved',
    summary: `moved ${op.id} to pool ${plan.to.pool}: ${size}; ${source}`,
    jobId,
    chainBefore: plan.volumes.map((volume) => volume.path),
    chainAfter: plan.volumes.map((volume) => `${plan.to.folder}/${volume.name}`),
    copiedBytes: plan.totalBytes,
    verified: plan.verify === 'full',
    removal: removal.id,
    warnings: [...(plan.warnings ?? []), ...left],
  };
}

/** The source's deletion, which never fails the move. */
async function deleteSourceOrWarn(op: Move, plan: ImagePlan) {
  try {
    return { id: await deleteSource(op, plan, op.input.wipe), warnings: [] };
  } catch (error) {
    return { id: null, warnings: [`the deletion of the source was not started: ${String(error)}`] };
  }
}

function alreadyThere(
  op: Move,
  { chain, reason }: { chain: string[]; reason: string },
): TransferResult {
  return {
    outcome: 'already-done',
    summary: `${op.id}: already done, ${reason}`,
    jobId: null,
    chainBefore: chain,
    chainAfter: chain,
    copiedBytes: 0,
    verified: false,
    removal: null,
    warnings: [],
  };
}
