/** The layers of a revert in their pools: made or restored, put into quarantine, or given back. */
import type { CopyTarget } from '../../chain/references.ts';
import { refused, retry } from '../../operation/failures.ts';
import { fileName } from '../../operation/words.ts';
import { withPool } from '../../pools/waiting.ts';
import type { Overlay } from '../create/plan.ts';
import { backwards, changeOf, poolsOf, poolsOfPlan } from './change.ts';
import { startExpiry } from './expire-reverted.ts';
import type { DiskSwitch, RevertNote, RevertPlan } from './plan.ts';
import type { Planned } from './planning.ts';
import type { Revert, Switching } from './revert-snapshot.ts';

type ToDo = Extract<Planned, { kind: 'plan' | 'undo' }>;

const noteOf = (op: Revert, jobId: string, state: RevertNote['state']): RevertNote => ({
  ...{ jobId, owner: op.jobId, workflow: op.id, time: new Date().toISOString(), state },
});

/** Step 3, in each pool. */
export async function prepare(op: Revert, planned: ToDo): Promise<Switching> {
  const switching =
    planned.kind === 'plan'
      ? await reserve(op, planned.plan)
      : await restore(op, planned.note.jobId, planned.change);
  op.point.pass();
  return switching;
}

async function reserve(op: Revert, plan: RevertPlan): Promise<Switching> {
  op.enter('reserving');
  const { jobId } = op;
  const note = noteOf(op, jobId, { phase: 'begun', plan });
  const overlays: Overlay[] = [];
  for (const to of poolsOfPlan(plan)) {
    const summary = `create the overlays of pool ${to.pool}`;
    const created = await withPool(op, { to, jobId, until: 'mounted' }, () =>
      op.spm(to).ensureRevertReserved({ note, to }, summary),
    );
    if (created.outcome === 'taken') throw nameTaken(op, created.path);
    overlays.push(...created.overlays);
  }
  return { jobId, change: changeOf(plan, overlays), then: 'kept' };
}

async function restore(op: Revert, jobId: string, change: DiskSwitch): Promise<Switching> {
  op.enter('restoring');
  const note = noteOf(op, jobId, { phase: 'undoing', change });
  for (const to of poolsOf(change)) {
    const summary = `give what was discarded in pool ${to.pool} its names back`;
    const restored = await withPool(op, { to, jobId, until: 'mounted' }, () => {
      // Before it: also what is done in part is taken back.
      if (!op.restored.includes(to)) op.restored.push(to);
      return op.spm(to).ensureLayersRestored({ note, to }, summary);
    });
    if (restored.outcome === 'taken') throw nameTaken(op, restored.path);
    if (restored.outcome === 'gone') {
      op.restored.pop();
      throw gone(op, restored.path);
    }
  }
  return { jobId, change: backwards(change), then: 'undone' };
}

/** Step 6, in each pool. */
export async function retireLayers(op: Revert, { jobId, change, then }: Switching): Promise<void> {
  const note = noteOf(op, jobId, { phase: then, change });
  for (const to of poolsOf(change)) await retireIn(op, to, note);
}

async function retireIn(op: Revert, to: CopyTarget, note: RevertNote): Promise<void> {
  const summary = `put what the disks have left in pool ${to.pool} into quarantine`;
  await withPool(op, { to, jobId: note.jobId, until: 'mounted' }, () =>
    op.spm(to).ensureLayersRetired({ note, to }, summary),
  );
}

/** Undoes 3. */
export async function giveBack(op: Revert, planned: ToDo): Promise<null> {
  op.enter('cancelling');
  if (planned.kind === 'plan') await deleteOverlays(op, op.jobId, planned.plan);
  else {
    const { jobId } = planned.note;
    const note = noteOf(op, jobId, { phase: 'kept', change: planned.change });
    for (const to of op.restored) await retireIn(op, to, note);
    const { keepSeconds } = op.input;
    // The note is this run's now, so that no other one deletes them.
    if (op.restored.length > 0)
      await startExpiry(op, { jobId, change: planned.change, keepSeconds });
  }
  return null;
}

/** Of a run that has not switched. */
export async function deleteOverlays(op: Revert, jobId: string, plan: RevertPlan): Promise<void> {
  for (const to of poolsOfPlan(plan)) {
    const input = { to, jobId, targets: 'delete' as const, owners: null };
    await withPool(op, { to, jobId, until: 'mounted' }, () =>
      op.spm(to).ensureReservationAbsent(input, `delete the overlays in pool ${to.pool}`),
    );
  }
}

const nameTaken = (op: Revert, path: string) =>
  retry('command-failed', {
    attempted: op.words,
    now: `${path} was made by another process meanwhile; it stays, and nothing was switched`,
    next: `Find what needs ${fileName(path)}, give that another name, and repeat the request`,
  });

const gone = (op: Revert, path: string) =>
  refused('nothing-to-undo', {
    attempted: op.words,
    now: `${path}, which the revert has discarded, is being deleted; nothing was switched`,
    next: 'Keep the disks as they are, or go back to another snapshot',
  });
