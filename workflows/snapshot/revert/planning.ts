/** Step 1: a plan, or the finding that it is done; first what earlier runs left. */
import { uuid4 } from '@temporalio/workflow';
import { assertUnusedElsewhere } from '../../chain/other-hosts.ts';
import { forwardOnly } from '../../operation/point-of-no-return.ts';
import { holdDisks } from '../disk-locks.ts';
import { backwards, layersLeft } from './change.ts';
import { deleteOverlays } from './layers.ts';
import type { DiskSwitch, RevertPlanOutcome } from './plan.ts';
import { laterUndone } from './words.ts';
import { complete, type Revert, type Switching } from './revert-snapshot.ts';
import { assertWhole } from './whole.ts';

type Outcome<K extends RevertPlanOutcome['kind']> = Extract<RevertPlanOutcome, { kind: K }>;
export type Planned =
  Outcome<'plan' | 'undo' | 'done'> | { kind: 'completed'; switching: Switching };

export async function planRevert(op: Revert): Promise<Planned> {
  for (;;) {
    const planned = await op.host.observeRevertPlan(op.input, `plan ${op.words}`);
    const outcome = await assertWhole(op.words, planned);
    if (outcome.kind === 'switched') {
      const switching = await completeEarlier(op, outcome);
      if (outcome.isThis) return { kind: 'completed', switching };
      // What the earlier run has discarded has its own end, under the id of this one until now.
      op.jobId = uuid4();
    } else if (outcome.kind === 'leftover') await deleteEarlier(op, outcome);
    else {
      await assertUnusedElsewhere(op, discardedBy(op.words, outcome));
      adopt(op, outcome);
      return outcome;
    }
    op.enter('planning', { note: null });
  }
}

async function completeEarlier(op: Revert, outcome: Outcome<'switched'>): Promise<Switching> {
  const { note, change } = outcome;
  op.enter('planning', { note: 'completing what an earlier run has switched' });
  showChange(op, change);
  const locks = await holdDisks(op, op.status.disks);
  return forwardOnly(async () => {
    const then = note.state.phase === 'begun' ? 'kept' : 'undone';
    const switching: Switching = { jobId: note.jobId, change, then };
    op.point.isBehind();
    await complete(op, switching);
    if (!outcome.isThis) op.point.takeBack('what an earlier run has switched is complete');
    await locks.release();
    return switching;
  });
}

async function deleteEarlier(op: Revert, { note, plan }: Outcome<'leftover'>): Promise<void> {
  op.enter('planning', { note: 'deleting overlays of an earlier run' });
  const locks = await holdDisks(
    op,
    plan.disks.map(({ disk }) => disk),
  );
  await forwardOnly(async () => {
    await deleteOverlays(op, note.jobId, plan);
    await locks.release();
  });
}

/** The layers that the disks leave, and the hosts that may need them. */
export function discardedBy(attempted: string, outcome: RevertPlanOutcome) {
  if (outcome.kind !== 'plan' && outcome.kind !== 'undo') {
    return { attempted, hosts: [], volumes: [] };
  }
  return { attempted, hosts: outcome.sharedWith ?? [], volumes: layersLeft(outcome) };
}

function adopt(op: Revert, outcome: Outcome<'plan' | 'undo' | 'done'>): void {
  if (outcome.kind === 'done') return;
  if (outcome.kind === 'undo') {
    showChange(op, backwards(outcome.change));
    op.warnings = laterUndone(outcome);
    return;
  }
  const { snapshot, disks, warnings } = outcome.plan;
  op.warnings = warnings;
  op.tell({
    jobId: op.jobId,
    snapshot,
    disks: disks.map(({ disk }) => disk),
    chainBefore: disks.map(({ retired }) => retired.volume.path),
    chainTarget: disks.map(({ to, name }) => `${to.folder}/${name}`),
  });
}

function showChange(op: Revert, { disks, current }: DiskSwitch): void {
  op.tell({
    jobId: op.jobId,
    snapshot: current.to,
    disks: disks.map(({ disk }) => disk),
    chainBefore: disks.map(({ from }) => from.volume.path),
    chainTarget: disks.map(({ to }) => to.volume.path),
  });
}
