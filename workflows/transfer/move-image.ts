/**
 * MoveImage: copies an image with all its volumes to another pool, switches the VM to the copies,
 * and leaves the source's deletion to a workflow of its own, for which it does not wait. Of a VM
 * that runs (*live*) QEMU mirrors the active layer, which the guest goes on to write.
 *
 *   planning ─ reserving ─ copying ─ verifying ─ naming ─ [mirroring] ─ switching ─ finished
 *      │                     └─ waiting for the pool                 └── RemoveImage of the source
 *      └─ waiting for space  └── RemoveImage of the copies, when it is undone
 *
 * Steps, and what is durable when each is done:
 *  1. plan     nothing outside; the plan is in the history. Refuses early.
 *  2. reserve  empty targets in the target pool's `.blockflow/<job>/`, with a note of whose they
 *              are.
 *  3. copy     one daemon holds all volumes by QEMU's own locks and copies one after the other, or
 *              converts the only one; each is flushed, and its name says how far it is. The daemon
 *              outlives the agent. Live: all but the active layer, for which there is an empty
 *              file.
 *  4. verify   nothing; each copy was compared with its source before any header is changed: byte
 *              for byte, a converted one in all that a guest reads.
 *  5. name     the copies have their final names; reserved names tell that they are ours.
 *  5' mirror   live only: QEMU's job runs (it survives every process of ours) and is READY. With
 *              --wait-for-decision it stays so until a person chooses; *keep* ends it there: the
 *              source stays, its copy of that moment too, and 6 to 8 are left out.
 *  6. switch   POINT OF NO RETURN. The VM's persistent XML names the copies, its snapshots'
 *              metadata follows, all flushed and read back, still held. A crash in between: the XML
 *              decides, and the rest is made to follow it. A pool that is unavailable is waited for
 *              first. Live: guest suspended, pivot, persistent XML on disk, guest resumed; then
 *              four views of the chain agree and QEMU has nothing of the source open.
 *  7. release  the hold is gone: a VM that is down may start, from the copies.
 *  8. delete   RemoveImage of the source has been started; then the reservation is gone. Then the
 *              report.
 *
 * Cancel or failure: before 6 the source is exactly what it was, but for the guest's own writes,
 * and RemoveImage of the copies is started without waiting for it; after it, a cancel is refused
 * and the move completed. Terminate: the next request finds the reservation, and the mirror, and
 * goes on from there.
 * Invariants: I1 (6), I3 (6, RemoveImage proves), I6 (every step observes first), I8, I9, I10, I12
 * (6), I14 (3, 4), I15 (1, 3, 5'), I17.
 */
import { uuid4 } from '@temporalio/workflow';
import { createConvergence, overlong } from '../operation/steering/convergence.ts';
import { cureOf } from '../operation/cure.ts';
import { retry, vmGone } from '../operation/failures.ts';
import { forwardOnly } from '../operation/point-of-no-return.ts';
import { run } from '../operation/run.ts';
import { sizeWords } from '../operation/words.ts';
import { untilBack } from '../pools/waiting.ts';
import type { ImageJob } from './activities.ts';
import { copyPaths } from './copied.ts';
import { planTransfer, untilNamed, type Planned } from './copying.ts';
import { acceptChoice, finishKept } from './keeping.ts';
import { moveKind, type TransferResult } from './kind.ts';
import { mirrorAndPivot, type Mirrored } from './mirroring.ts';
import type { ImagePlan } from './plan.ts';
import type { MoveImageInput } from './request.ts';
import { acceptAsking } from './together.ts';
import { openTransfer, type Move } from './transfer.ts';
import {
  beginAgain,
  deleteElsewhere,
  deleteSource,
  keepBoth,
  removeReservation,
  undoOnFailure,
} from './unwanted-copies.ts';

export function MoveImage(request: MoveImageInput): Promise<TransferResult> {
  return run(moveKind, request, (op) => {
    const decision = acceptChoice(op);
    const convergence = createConvergence(op, op.input);
    const more = { decision, convergence, asked: acceptAsking(op) };
    const opened = Object.assign(openTransfer(op), more);
    return () => move(opened);
  });
}

async function move(op: Move): Promise<TransferResult> {
  let stopped: ImagePlan | null = null;
  for (let attempt = 1; ;) {
    const planned: Planned = stopped ? await planCold(op, stopped) : await planMove(op); // 1
    if (planned.kind === 'done') return alreadyThere(op, planned);
    const { plan }: { plan: ImagePlan } = planned;
    const moved: Mirrored = plan.switched
      ? SWITCHED
      : await untilSwitched(op, plan).catch(orSwitched(op)); // 2-6
    if (moved.end === 'switched') {
      op.point.isBehind();
      op.mirroring = null;
      return forwardOnly(() => finishMove(op, plan, moved.stallMs)); // 7-8
    }
    if (moved.end === 'kept') {
      await undoOnFailure(op, plan, () => op.point.pass());
      op.mirroring = null;
      return forwardOnly(() => finishKept(op, plan));
    }
    const { reason } = moved;
    stopped = moved.end === 'go on cold' ? plan : null;
    if (stopped) op.enter('planning', { note: `the VM stopped (${reason}); going on cold` });
    else await beginAgain(op, plan, { attempted: `moving ${op.id}`, attempt: attempt++, reason });
  }
}

const planMove = (op: Move) => planTransfer(op, { operation: 'MoveImage', ...op.input });

/** 1, once the VM has stopped: what was copied is found and gone on with, or deleted. */
function planCold(op: Move, earlier: ImagePlan): Promise<Planned> {
  const { jobId, owner } = op;
  op.jobId = uuid4();
  op.owner = op.jobId;
  return undoOnFailure(op, earlier, () =>
    planMove(op).catch((error: unknown) => {
      Object.assign(op, { jobId, owner });
      throw error;
    }),
  );
}

const SWITCHED: Mirrored = { end: 'switched', stallMs: null };

/** Whatever has ended it, a cancel too: the switch of all disks of the VM may have been faster. */
const orSwitched = (op: Move) => (error: unknown) => {
  if (op.hasSwitched) return SWITCHED;
  throw error;
};

/** 2 to 6. */
async function untilSwitched(op: Move, plan: ImagePlan): Promise<Mirrored> {
  const again = await untilNamed(op, plan);
  if (again !== null) return { end: 'plan again', reason: again };
  if (plan.live) return mirrorAndPivot(op, plan);
  const reason = await switchRecord(op, plan);
  return reason === null ? SWITCHED : { end: 'plan again', reason };
}

/** 6, of a VM that is down: @returns why it did not happen; null when it did */
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
    if (outcome === 'refused') return undoOnFailure(op, plan, () => throwRefused(op, reason));
    const pool = { to: plan.to, jobId: op.jobId, until: 'reserved' as const };
    await undoOnFailure(op, plan, () => untilBack(op, pool, reason));
  }
}

function throwGone(op: Move, { vm }: ImagePlan): never {
  const truth = 'its source is as it was, and the copies are deleted';
  throw vmGone(`moving ${op.id}`, vm?.name ?? '', truth);
}

function throwRefused(op: Move, reason: string): never {
  throw retry('command-failed', {
    attempted: `switching the record of ${op.id} to its copies`,
    now: `it is refused: ${reason}`,
    next: cureOf(reason, 'Fix that'),
  });
}

/** 7 and 8. */
async function finishMove(
  op: Move,
  plan: ImagePlan,
  stallMs: number | null,
): Promise<TransferResult> {
  const { jobId } = op;
  if (plan.live) await completePivot(op, plan);
  op.enter('deleting');
  // The rest of a switch that a terminated run began: its snapshots may still name the source.
  if (plan.switched && !plan.live) {
    await op.host.ensureRecordSwitched({ plan, jobId }, 'complete the switch');
  }
  await op.host.ensureImageReleased({ jobId }, 'release the source and the copies'); // 7
  const removal = await deleteSourceOrWarn(op, plan); // 8
  const left = [...removal.warnings, ...(await deleteElsewhere(op, plan))];
  await removeReservation(op, { plan, jobId }, 'keep', 'the reservation');
  const chainAfter = copyPaths(plan);
  const size = `${chainAfter.length} volume(s), ${sizeWords(plan.totalBytes)}`;
  const stood = !stallMs ? '' : `, guest suspended for ${stallMs} ms`;
  const source = removal.id ? `${removal.id} deletes the source` : 'the source is still there';
  return {
    outcome: 'moved',
    summary: `moved ${op.id} to pool ${plan.to.pool}: ${size}${stood}; ${source}`,
    jobId,
    chainBefore: plan.volumes.map((volume) => volume.path),
    chainAfter,
    copiedBytes: plan.totalBytes,
    // No process compares what QEMU has mirrored.
    verified: plan.verify === 'full' && !plan.live,
    removal: removal.id,
    warnings: [...(plan.warnings ?? []), ...overlong(op.input, stallMs), ...left],
  };
}

/** The end of 6, live: all that libvirt and QEMU have is the copies, then nothing of the source. */
async function completePivot(op: Move, plan: ImagePlan): Promise<void> {
  const job: ImageJob = { plan, jobId: op.jobId };
  const orKeep = (error: unknown) => keepBoth(op, error);
  // A run that was terminated in the pivot may have left a guest that waits.
  if (plan.switched) {
    const pivoted = await op.host.ensureMirrorPivoted(job, 'complete the pivot').catch(orKeep);
    if (pivoted.outcome !== 'pivoted') await keepBoth(op, notFollowed(op, pivoted.reason));
  }
  await op.host.observeMoveProof(job, 'prove the copies in all views').catch(orKeep);
  const summary = 'let the snapshots of libvirt follow';
  const done = await op.host.ensureRecordSwitched(job, summary).catch(orKeep);
  if (done.outcome !== 'switched') await keepBoth(op, notFollowed(op, done.reason));
}

const notFollowed = (op: Move, now: string) =>
  retry('command-failed', {
    attempted: `completing the move of ${op.id}`,
    now,
    next: 'Repeat the request: it completes the move',
  });

/** The source's deletion, which never fails the move. */
async function deleteSourceOrWarn(op: Move, plan: ImagePlan) {
  if (op.input.keepsSource) {
    const warning = 'a person has switched the VM to its copy; the source is still there';
    return { id: null, warnings: [warning] };
  }
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
