/**
 * CreateSnapshot: from one moment on, the disks of a VM write to new overlays, and libvirt lists
 * what is below as a snapshot; all disks or none, while the VM runs or while it is down.
 *
 *   planning ─ reserving ─ switching ─ listing ─ finished
 *      │           └─ waiting for the pool
 *      └─ what earlier runs left is completed, or deleted, first
 *
 * Steps, and what is durable when each is done:
 *  1. plan     nothing outside; the plan is in the history. Refuses early.
 *  2. lock     the ids of the disks are taken, so that no other operation is on them.
 *  3. reserve  empty overlays, checked, with their final names and a note of whose they are, by the
 *              SPM agents of their pools.
 *  4. switch   POINT OF NO RETURN. VM running: [file systems frozen,] guest suspended, one
 *              transaction of QEMU for all disks, the persistent XML on disk, guest resumed
 *              [and thawed]. VM down: one change of its record for all disks.
 *  5. list     libvirt's metadata of the snapshot.
 *  6. release  the notes of 3 are gone, then the locks. Then the report.
 *
 * With `internal` it is taken inside of the images of a VM that is down: `inside.ts`.
 *
 * Cancel: before 4 the overlays are deleted; after it, it is refused and the snapshot completed.
 * Terminate: the next request on this VM completes what has been switched, and deletes what has
 * not. Invariants: I1 (4: a guest that may write has a durable record), I2, I6 (an overlay is ours
 * by its inode), I8, I9, I10, I12 (4), I17 (4, 5).
 */
import { uuid4 } from '@temporalio/workflow';
import { cureOf } from '../../operation/cure.ts';
import { retry } from '../../operation/failures.ts';
import { agentsOf, type Agents, type Operation } from '../../operation/operation.ts';
import { forwardOnly, undoable } from '../../operation/point-of-no-return.ts';
import { run } from '../../operation/run.ts';
import type { poolsOnHost, poolsOnStorage } from '../../pools/activities.ts';
import { holdDisks } from '../disk-locks.ts';
import type { snapshotOnHost, snapshotOnStorage, TakenOutcome, Taking } from './activities.ts';
import type { insideOnHost } from '../inside/activities.ts';
import type { snapshotListOnHost } from '../list/activities.ts';
import { takeInside } from './inside.ts';
import { creationKind, type CreateSnapshotResult } from './kind.ts';
import { completeTaken, removeReservations, reserveOverlays } from './overlays.ts';
import type { SnapshotPlan } from './plan.ts';
import { planSnapshot } from './planning.ts';
import { takenResult, type Taken } from './taken-result.ts';
import type { CreateSnapshotInput } from './request.ts';

type OnHost = typeof snapshotOnHost &
  typeof insideOnHost &
  typeof snapshotListOnHost &
  typeof poolsOnHost;
type OnStorage = typeof snapshotOnStorage & typeof poolsOnStorage;

export interface Creation extends Operation<typeof creationKind>, Agents<OnHost, OnStorage> {}

export function CreateSnapshot(request: CreateSnapshotInput): Promise<CreateSnapshotResult> {
  return run(
    creationKind,
    request,
    (op) => () => create(Object.assign(op, agentsOf<OnHost, OnStorage>(op))),
  );
}

/** Times that the VM may change, or QEMU refuse, between plan and switch. */
const ATTEMPTS = 3;

async function create(op: Creation): Promise<CreateSnapshotResult> {
  if (op.input.internal) return takeInside(op);
  for (let attempt = 1; ; attempt++) {
    const planned = await planSnapshot(op); // 1
    if (planned.kind === 'done') return planned.result;
    const { plan } = planned;
    const locks = await holdDisks(
      op,
      plan.disks.map(({ disk }) => disk),
    ); // 2
    try {
      const taking = await undoable(
        () => reserve(op, plan), // 3
        () => discard(op, plan),
      );
      const taken = await forwardOnly(() => switchDisks(op, taking)); // 4
      if (taken.outcome === 'taken') return await forwardOnly(() => finish(op, taking, taken));
      await forwardOnly(() => discard(op, plan));
      if (attempt === ATTEMPTS || taken.outcome === 'not-frozen') throw notTaken(op, taken);
      op.jobId = uuid4();
      op.enter('planning', { note: taken.reason });
    } finally {
      await locks.release();
    }
  }
}

async function reserve(op: Creation, plan: SnapshotPlan): Promise<Taking> {
  const overlays = await reserveOverlays(op, plan);
  op.point.pass();
  return { plan, jobId: op.jobId, overlays };
}

async function switchDisks(op: Creation, taking: Taking): Promise<TakenOutcome> {
  op.enter('switching');
  const { disks, vm } = taking.plan;
  const summary = `switch ${disks.length} disk(s) of ${vm} to overlays, all or none`;
  const taken = await op.host.ensureSnapshotTaken(taking, summary);
  if (taken.outcome === 'taken') op.point.isBehind();
  else op.point.takeBack(taken.reason);
  return taken;
}

/** 5, 6 */
async function finish(op: Creation, taking: Taking, taken: Taken): Promise<CreateSnapshotResult> {
  await completeTaken(op, taking);
  return takenResult(op, taking, taken);
}

/** Undoes 3: the overlays go. */
async function discard(op: Creation, plan: SnapshotPlan): Promise<null> {
  op.enter('cancelling');
  await removeReservations(op, { plan, jobId: op.jobId }, 'delete');
  return null;
}

function notTaken(op: Creation, { outcome, reason }: Exclude<TakenOutcome, Taken>) {
  return retry('command-failed', {
    attempted: op.words,
    now: `it was not taken: ${reason}; the VM writes to the layers that it had`,
    next:
      outcome === 'not-frozen'
        ? 'Fix the guest agent, or do without it (`--quiesce try`), and repeat the request'
        : cureOf(reason, 'Fix the reported error'),
  });
}
