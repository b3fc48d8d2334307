/** Step 1: a plan, or the finding that this very request is done; first what earlier runs left. */
import { auditLog } from '../../operation/agents.ts';
import { WHOLE_VM } from '../../operation/contract.ts';
import { failureDetails } from '../../operation/failures.ts';
import { unlessOurs } from '../../operation/parts.ts';
import { forwardOnly } from '../../operation/point-of-no-return.ts';
import { holdDisks } from '../disk-locks.ts';
import type { Creation } from './create-snapshot.ts';
import type { CreateSnapshotResult } from './kind.ts';
import { completeTaken, removeReservations } from './overlays.ts';
import type { SnapshotPlan, SnapshotPlanOutcome, Unfinished } from './plan.ts';
import { takenResult, type Taken } from './taken-result.ts';

export type Planned =
  { kind: 'plan'; plan: SnapshotPlan } | { kind: 'done'; result: CreateSnapshotResult };

export async function planSnapshot(op: Creation): Promise<Planned> {
  for (;;) {
    const outcome = await planOrEvidence(op);
    if (outcome.kind === 'plan') return { kind: 'plan', plan: adopt(op, outcome.plan) };
    if (outcome.kind === 'done') return outcome;
    const taken = await finishEarlier(op, outcome.earlier);
    if (taken !== null && isThis(op, outcome.earlier.plan)) {
      return { kind: 'done', result: takenResult(op, outcome.earlier, taken) };
    }
    op.enter('planning', { note: null });
  }
}

/** A name that is taken is no mistake when this very request has made that snapshot. */
async function planOrEvidence(op: Creation): Promise<SnapshotPlanOutcome | Planned> {
  const { name } = op.input;
  try {
    const planning = op.host.observeSnapshotPlan(op.input, `plan ${op.words}`);
    return await planning.catch(unlessOurs({ vm: op.input.vm, attempted: op.words }));
  } catch (error) {
    const isThere = failureDetails(error)?.details.code === 'snapshot-exists';
    const result = isThere && name !== null ? await evidence(op, name) : null;
    if (result === null) throw error;
    return { kind: 'done', result };
  }
}

/**
 * That this request has made the snapshot which libvirt lists now: another one of that name is
 * younger than the event.
 */
export async function evidence(op: Creation, name: string): Promise<CreateSnapshotResult | null> {
  const { vm, host } = op.input;
  const all = await auditLog.observeEvents({ vm, disk: WHOLE_VM, limit: 1000 });
  const made = all.findLast((event) => event.kind === 'created' && event.request === op.words);
  if (!made) return null;
  const tree = await op.host.observeSnapshotTree({ vm, host }, `look at snapshot ${name} of ${vm}`);
  const takenAt = tree.snapshots.find((listed) => listed.name === name)?.takenAt ?? null;
  if (takenAt === null || takenAt > made.time) return null;
  return {
    outcome: 'already-done',
    summary: `snapshot ${name} of ${vm}: already done, by this request at ${made.time}`,
    snapshot: name,
    jobId: null,
    disks: [],
    chainAfter: made.after,
    stallMs: null,
    quiesced: false,
    warnings: [],
  };
}

/** What an earlier run has switched is completed; its other overlays go. */
async function finishEarlier(
  op: Creation,
  { plan, jobId, overlays }: Unfinished,
): Promise<Taken | null> {
  const { snapshot } = plan;
  op.enter('planning', { note: `completing snapshot ${snapshot}, which an earlier run began` });
  const locks = await holdDisks(
    op,
    plan.disks.map(({ disk }) => disk),
  );
  return forwardOnly(async () => {
    const taking = { plan, jobId, overlays };
    const summary = `see what has become of snapshot ${snapshot}`;
    const settled = await op.host.ensureSnapshotSettled(taking, summary);
    if (settled.outcome === 'taken') await completeTaken(op, taking);
    else await removeReservations(op, taking, 'delete');
    await locks.release();
    return settled.outcome === 'taken' ? settled : null;
  });
}

/** Whether the snapshot of an earlier run is the one that this request is for. */
function isThis({ input }: Creation, plan: SnapshotPlan): boolean {
  const { name, description, quiesce, disks, exclude } = input;
  const taken = plan.disks.map(({ disk }) => disk);
  const isNamed = plan.snapshot === name && plan.description === description;
  const isWanted = (disk: string) =>
    (disks.length === 0 || disks.includes(disk)) && !exclude.includes(disk);
  return (
    isNamed &&
    plan.quiesce === quiesce &&
    taken.every(isWanted) &&
    disks.every((disk) => taken.includes(disk))
  );
}

function adopt(op: Creation, plan: SnapshotPlan): SnapshotPlan {
  op.tell({
    jobId: op.jobId,
    snapshot: plan.snapshot,
    disks: plan.disks.map(({ disk }) => disk),
    chainBefore: plan.disks.map(({ base }) => base.path),
    chainTarget: plan.disks.map(({ to, name }) => `${to.folder}/${name}`),
  });
  return plan;
}
