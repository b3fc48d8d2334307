/** What is said of a snapshot that is taken, by this run or by an earlier one of the request. */
import type { TakenOutcome, Taking } from './activities.ts';
import type { Creation } from './create-snapshot.ts';
import type { CreateSnapshotResult } from './kind.ts';

export type Taken = Extract<TakenOutcome, { outcome: 'taken' }>;

export function takenResult(op: Creation, taking: Taking, taken: Taken): CreateSnapshotResult {
  const { plan } = taking;
  const disks = plan.disks.map(({ disk, base, to, name }) => ({
    disk,
    base: base.path,
    overlay: `${to.folder}/${name}`,
  }));
  const { stallMs, quiesced } = taken;
  const how = quiesced ? ', its file systems frozen' : '';
  const names = disks.map(({ disk }) => disk).join(', ');
  const left = plan.left.map(({ disk, why }) => `${disk} is not part of it: ${why}`);
  return {
    outcome: 'created',
    summary: `snapshot ${plan.snapshot} of ${plan.vm} (${names}) is taken${how}`,
    snapshot: plan.snapshot,
    jobId: taking.jobId,
    disks,
    chainAfter: disks.map(({ overlay }) => overlay),
    stallMs,
    quiesced,
    warnings: [...left, ...plan.warnings, ...taken.warnings, ...op.point.warnings()],
  };
}
