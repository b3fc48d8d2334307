/**
 * DeleteSnapshot: takes a snapshot of a VM, or those that were taken on it, out of all disks: each
 * disk's layer is merged down by a LiveMerge of its own; while the VM runs or while it is down.
 *
 *   planning ─ merging ─ forgetting ─ finished
 *                 └────────┘ for each snapshot, leaves first
 *
 * Steps, and what is durable when each is done:
 *  1. plan    nothing outside; which snapshots go, in which order, and a plan of each merge. A disk
 *             that is refused refuses the whole, unless disks were merged by an earlier run.
 *  2. merge   the layers of the snapshot are in those below, and deleted: a LiveMerge `VM/DISK` for
 *             each, several at once. Each has a point of no return, and outlives this workflow.
 *             Disks that wait for their turn have a lock (D37).
 *  3. memory  POINT OF NO RETURN of a snapshot, when all its disks are merged: the file with the
 *             guest's memory is gone, by the SPM agent of its pool.
 *  4. forget  libvirt does not list the snapshot any more. Then the next one, or the report.
 *
 * A disk that fails stops no other one. The operation fails then, and says which disks are merged;
 * the same request goes on with the rest, also after a terminate: libvirt lists the snapshot until
 * its last disk is merged, and a merge that still runs is waited for.
 *
 * Cancel: merges are ended where that is still possible; disks that are merged stay merged. When
 * all disks are merged it is refused. Invariants: I3 (2, 3), I6, I8, I9 (of each disk), I13, I17.
 */
import { CancellationScope, CancelledFailure } from '@temporalio/workflow';
import { isOfWholeSnapshot } from '../../merge/words.ts';
import type { mergeOnHost } from '../../merge/activities.ts';
import { failureDetails, hold, retry, type HoldCode } from '../../operation/failures.ts';
import { agentsOf, type Agents, type Operation } from '../../operation/operation.ts';
import { forwardOnly } from '../../operation/point-of-no-return.ts';
import { run } from '../../operation/run.ts';
import { sizeWords } from '../../operation/words.ts';
import type { poolsOnStorage } from '../../pools/activities.ts';
import type { snapshotDeletionOnHost } from './activities.ts';
import { deletionKind, type DeleteSnapshotResult, type DiskState } from './kind.ts';
import { acceptLimit } from './limit.ts';
import { mergeDisks, type Tally } from './merging.ts';
import type { DeletionPlan, GoingSnapshot } from './plan.ts';
import { planDeletion } from './planning.ts';
import type { DeleteSnapshotInput } from './request.ts';
import { waitingDisks } from './waiting-disks.ts';
import { tallyWords } from './words.ts';

type OnHost = typeof snapshotDeletionOnHost & typeof mergeOnHost;
type OnStorage = typeof poolsOnStorage;

export interface Deletion extends Operation<typeof deletionKind>, Agents<OnHost, OnStorage> {}

export function DeleteSnapshot(request: DeleteSnapshotInput): Promise<DeleteSnapshotResult> {
  return run(deletionKind, request, (op) =>
    remove(Object.assign(op, agentsOf<OnHost, OnStorage>(op))),
  );
}

type Plan = Extract<DeletionPlan, { kind: 'plan' }>;
type Freed = Pick<DeleteSnapshotResult, 'deleted' | 'regainedBytes' | 'warnings'>;

async function remove(op: Deletion): Promise<DeleteSnapshotResult> {
  acceptLimit(op);
  const planned = await planDeletion(op); // 1
  if (planned.kind === 'done') return alreadyDone(op, planned.reason);
  showDisks(op, planned);
  const { snapshots } = planned.deletion;
  const tally: Tally = { results: [], failures: [], waiting: waitingDisks(op) };
  const freed: Freed[] = [];
  try {
    for (const snapshot of snapshots) {
      op.enter('merging');
      await mergeDisks(op, tally, snapshot.name); // 2
      assertMerged(op, tally, snapshot.name);
      if (snapshot === snapshots.at(-1)) op.point.isBehind();
      freed.push(await forwardOnly(() => forget(op, planned, snapshot))); // 3, 4
    }
  } finally {
    await tally.waiting.release();
  }
  return report(op, planned, tally, freed);
}

/** Every disk of every snapshot: what was merged before, what is to be, and what is refused. */
function showDisks(op: Deletion, { deletion, disks, merged, refused }: Plan): void {
  type Part = Pick<DiskState, 'snapshot' | 'disk'>;
  const as = (state: DiskState['state'], parts: readonly (Part & { why?: string })[]) =>
    parts.map(({ snapshot, disk, why = null as string | null }): DiskState => ({
      ...{ snapshot, disk, state, why },
    }));
  const all = [...as('merged', merged), ...as('waiting', disks), ...as('refused', refused)];
  all.sort((a, b) => (a.disk < b.disk ? -1 : 1));
  const of = (name: string) => all.filter(({ snapshot }) => snapshot === name);
  op.tell({ disks: deletion.snapshots.flatMap(({ name }) => of(name)) });
}

/**
 * Ends the operation when a disk of the snapshot is not merged.
 * @throws CancelledFailure; a disk's own failure when none is merged; else Hold or Retry
 * `partly-deleted` with what has become of each
 */
function assertMerged(op: Deletion, { failures }: Tally, snapshot: string): void {
  const { vm, disks } = op.status;
  const isRest = (state: string) => state !== 'merged';
  const open = disks.filter((disk) => disk.snapshot === snapshot && isRest(disk.state));
  if (open.length === 0) return;
  const all = disks.map((disk) =>
    disk.state === 'waiting' ? { ...disk, state: 'left' as const } : disk,
  );
  op.tell({ disks: all });
  const isBegun = all.some(({ state }) => state === 'merged');
  const now = tallyWords(all);
  const next = 'Repeat the request: it goes on with what is left';
  if (isBegun) op.truth = `${now}; the same request goes on with what is left`;
  const [first] = failures;
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure(op.truth);
  if (!isBegun && first !== undefined) throw first;
  const attempted = `deleting snapshot ${snapshot} of ${vm}`;
  const held = failures.map(failureDetails).find((failure) => failure?.type === 'Hold');
  if (held) throw hold(held.details.code as HoldCode, { attempted, now, next: held.details.next });
  throw retry('partly-deleted', { attempted, now, next });
}

/** 3 and 4, of one snapshot. */
async function forget(op: Deletion, { deletion }: Plan, snapshot: GoingSnapshot): Promise<Freed> {
  op.enter('forgetting');
  op.truth = `all disks of snapshot ${snapshot.name} are merged; libvirt may still list it`;
  const { vm, vmUuid } = deletion;
  const { name, memory } = snapshot;
  const warnings =
    memory?.stays == null ? [] : [`the guest's memory stays in ${memory.file}: ${memory.stays}`];
  let done = { deleted: [] as string[], regainedBytes: 0 };
  if (memory?.volume) {
    const { volume } = memory;
    const input = { jobId: op.jobId, volumes: [volume] };
    const summary = `delete the memory of snapshot ${name}`;
    done = await op.spm(volume.pool).ensureVolumesAbsent(input, summary);
  }
  const summary = `remove snapshot ${name} from libvirt's list`;
  await op.host.ensureSnapshotForgotten({ vm, vmUuid, name }, summary);
  return { ...done, warnings };
}

function report(
  op: Deletion,
  plan: Plan,
  { results }: Tally,
  freed: Freed[],
): DeleteSnapshotResult {
  const { vm, disks } = op.status;
  const snapshots = plan.deletion.snapshots.map(({ name }) => name);
  const all = [...results, ...freed];
  const regainedBytes = all.reduce((sum, part) => sum + part.regainedBytes, 0);
  const told = all
    .flatMap(({ warnings }) => warnings)
    .filter((warning) => !snapshots.some((name) => isOfWholeSnapshot(warning, name)));
  const what = snapshots.length === 1 ? 'snapshot' : 'snapshots';
  return {
    outcome: 'deleted',
    summary:
      `deleted ${what} ${snapshots.join(', ')} of ${vm}: ${tallyWords(disks)}, ` +
      `${sizeWords(regainedBytes)} regained`,
    snapshots,
    disks,
    deleted: all.flatMap(({ deleted }) => deleted),
    regainedBytes,
    warnings: [...new Set([...told, ...op.point.warnings()])],
  };
}

function alreadyDone({ words }: Deletion, reason: string): DeleteSnapshotResult {
  return {
    outcome: 'already-done',
    summary: `${words}: already done, ${reason}`,
    ...{ snapshots: [], disks: [], deleted: [], regainedBytes: 0, warnings: [] },
  };
}
