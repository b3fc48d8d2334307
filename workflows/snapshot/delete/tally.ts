/** How far a deletion is: each disk of each snapshot, shown and judged. */
import { CancellationScope, CancelledFailure } from '@temporalio/workflow';
import type { LiveMergeResult } from '../../merge/kind.ts';
import { isOfWholeSnapshot } from '../../merge/words.ts';
import { failureDetails, hold, retry, type HoldCode } from '../../operation/failures.ts';
import { sizeWords } from '../../operation/words.ts';
import type { Deletion } from './delete-snapshot.ts';
import type { DeleteSnapshotResult, DiskState } from './kind.ts';
import type { DeletionPlan } from './plan.ts';
import { isDone, tallyWords } from './words.ts';

export type Plan = Extract<DeletionPlan, { kind: 'plan' }>;

/** What the merges of a deletion have done so far. */
export interface Tally {
  /** In the order in which they ended. */
  results: Freed[];
  failures: Error[];
}
export type Freed = Pick<LiveMergeResult, 'deleted' | 'regainedBytes' | 'warnings'>;

/** Every disk of every snapshot: what was merged before, what is to be, and what is refused. */
export function showDisks(op: Deletion, { deletion, disks, merged, refused }: Plan): void {
  type Part = Pick<DiskState, 'snapshot' | 'disk'>;
  const as = (state: DiskState['state'], parts: readonly (Part & { why?: string })[]) =>
    parts.map(({ snapshot, disk, why = null as string | null }): DiskState => ({
      ...{ snapshot, disk, state, why },
    }));
  const inner = deletion.snapshots.flatMap(({ name: snapshot, inside }) => [
    ...as(
      'deleted',
      (inside?.gone ?? []).map((disk) => ({ snapshot, disk })),
    ),
    ...as(
      'waiting',
      (inside?.parts ?? []).map(({ disk }) => ({ snapshot, disk })),
    ),
  ]);
  const merges = [...as('merged', merged), ...as('waiting', disks), ...as('refused', refused)];
  const all = [...merges, ...inner];
  all.sort((a, b) => (a.disk < b.disk ? -1 : 1));
  const of = (name: string) => all.filter(({ snapshot }) => snapshot === name);
  op.tell({ disks: deletion.snapshots.flatMap(({ name }) => of(name)) });
}

/**
 * Ends the operation when a disk of the snapshot still has it.
 * @throws CancelledFailure; a disk's own failure when none is done; else Hold or Retry
 * `partly-deleted` with what has become of each
 */
export function assertDone(
  op: Deletion,
  { failures }: Pick<Tally, 'failures'>,
  snapshot: string,
  isInside = false,
): void {
  const { vm, disks } = op.status;
  const open = disks.filter((disk) => disk.snapshot === snapshot && !isDone(disk.state));
  if (open.length === 0) return;
  const all = disks.map((disk) =>
    disk.state === 'waiting' ? { ...disk, state: 'left' as const } : disk,
  );
  op.tell({ disks: all });
  const isBegun = all.some(({ state }) => isDone(state));
  const now = tallyWords(all, isInside);
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

/** Shows the state of a disk; what a cancel means now depends on it. */
export function tell(op: Deletion, disk: DiskState, state: DiskState['state'], why?: string): void {
  Object.assign(disk, { state, why: why ?? null });
  op.tell({ disks: op.status.disks });
}

/** When all disks of all snapshots are done. */
export function report(
  op: Deletion,
  { deletion }: Plan,
  freed: readonly Freed[],
): DeleteSnapshotResult {
  const { vm, disks } = op.status;
  const snapshots = deletion.snapshots.map(({ name }) => name);
  const isInside = deletion.snapshots.some(({ inside }) => inside);
  const regainedBytes = freed.reduce((sum, part) => sum + part.regainedBytes, 0);
  const told = freed
    .flatMap(({ warnings }) => warnings)
    .filter((warning) => !snapshots.some((name) => isOfWholeSnapshot(warning, name)));
  const what = snapshots.length === 1 ? 'snapshot' : 'snapshots';
  return {
    outcome: 'deleted',
    summary:
      `deleted ${what} ${snapshots.join(', ')} of ${vm}: ${tallyWords(disks, isInside)}, ` +
      `${sizeWords(regainedBytes)} regained`,
    snapshots,
    disks,
    deleted: freed.flatMap(({ deleted }) => deleted),
    regainedBytes,
    warnings: [...new Set([...told, ...op.point.warnings()])],
  };
}
