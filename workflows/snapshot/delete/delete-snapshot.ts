/**
 * DeleteSnapshot: takes a snapshot of a VM, or those that were taken on it, out of all disks: each
 * disk's layer is merged down by a LiveMerge of its own; while the VM runs or while it is down. One
 * that is inside of the images (or in libvirt's words: internal) is deleted there: `inside.ts`.
 *
 *   planning ─ merging or deleting ─ forgetting ─ finished
 *                 └────────────────────┘ for each snapshot, leaves first
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
import type { mergeOnHost } from '../../merge/activities.ts';
import { agentsOf, type Agents, type Operation } from '../../operation/operation.ts';
import { forwardOnly } from '../../operation/point-of-no-return.ts';
import { run } from '../../operation/run.ts';
import type { poolsOnStorage } from '../../pools/activities.ts';
import type { snapshotDeletionOnHost } from './activities.ts';
import type { insideOnHost } from '../inside/activities.ts';
import type { snapshotListOnHost } from '../list/activities.ts';
import { removeInside } from './inside.ts';
import { deletionKind, type DeleteSnapshotResult } from './kind.ts';
import { acceptLimit } from './limit.ts';
import { mergeDisks, type Merges } from './merging.ts';
import type { GoingSnapshot } from './plan.ts';
import { planDeletion } from './planning.ts';
import type { DeleteSnapshotInput } from './request.ts';
import { assertDone, report, showDisks, type Freed, type Plan } from './tally.ts';
import { waitingDisks } from './waiting-disks.ts';

type OnHost = typeof snapshotDeletionOnHost &
  typeof snapshotListOnHost &
  typeof insideOnHost &
  typeof mergeOnHost;
type OnStorage = typeof poolsOnStorage;

export interface Deletion extends Operation<typeof deletionKind>, Agents<OnHost, OnStorage> {}

export function DeleteSnapshot(request: DeleteSnapshotInput): Promise<DeleteSnapshotResult> {
  return run(deletionKind, request, (opened) => {
    const op = Object.assign(opened, agentsOf<OnHost, OnStorage>(opened));
    acceptLimit(op);
    return () => remove(op);
  });
}

async function remove(op: Deletion): Promise<DeleteSnapshotResult> {
  const planned = await planDeletion(op); // 1
  if (planned.kind === 'done') return alreadyDone(op, planned.reason);
  showDisks(op, planned);
  const { snapshots } = planned.deletion;
  if (snapshots.some(({ inside }) => inside)) return removeInside(op, planned);
  const tally: Merges = { results: [], failures: [], waiting: waitingDisks(op) };
  const freed: Freed[] = [];
  try {
    for (const snapshot of snapshots) {
      op.enter('merging');
      await mergeDisks(op, tally, snapshot.name); // 2
      assertDone(op, tally, snapshot.name);
      if (snapshot === snapshots.at(-1)) op.point.isBehind();
      freed.push(await forwardOnly(() => forget(op, planned, snapshot))); // 3, 4
    }
  } finally {
    await tally.waiting.release();
  }
  return report(op, planned, [...tally.results, ...freed]);
}

/** 3 and 4, of one snapshot. */
async function forget(op: Deletion, { deletion }: Plan, snapshot: GoingSnapshot): Promise<Freed> {
  op.enter('forgetting');
  op.truth = `all disks of snapshot ${snapshot.name} are merged; libvirt may still list it`;
  const { vm, vmUuid } = deletion;
  const { name, memory, detached = [] } = snapshot;
  const warnings = [
    ...(memory?.stays == null
      ? []
      : [`the guest's memory stays in ${memory.file}: ${memory.stays}`]),
    ...detached.map(({ disk, layer }) => `${vm} does not have ${disk} any more: ${layer} stays`),
  ];
  let done = { deleted: [] as string[], regainedBytes: 0 };
  if (memory?.volume) {
    const { volume } = memory;
    const input = { jobId: op.jobId, volumes: [volume] };
    const summary = `delete the memory of snapshot ${name}`;
    done = await op.spm(volume).ensureVolumesAbsent(input, summary);
  }
  const summary = `remove snapshot ${name} from libvirt's list`;
  await op.host.ensureSnapshotForgotten({ vm, vmUuid, name }, summary);
  return { ...done, warnings };
}

function alreadyDone({ words }: Deletion, reason: string): DeleteSnapshotResult {
  return {
    outcome: 'already-done',
    summary: `${words}: already done, ${reason}`,
    ...{ snapshots: [], disks: [], deleted: [], regainedBytes: 0, warnings: [] },
  };
}
