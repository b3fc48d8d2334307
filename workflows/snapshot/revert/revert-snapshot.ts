/**
 * RevertSnapshot: takes the disks of a VM that is down back to a snapshot, all or none, or brings
 * back what the last revert has discarded.
 *
 *   planning ─ reserving | restoring ─ switching ─ retiring ─ [starting] ─ finished
 *      │                  └─ waiting for the pool
 *      └─ what earlier runs left is completed, or deleted, first
 *
 * Steps, and what is durable when each is done:
 *  1. plan     nothing outside; the plan is in the history. Refuses early.
 *  2. lock     the ids of the disks are taken, so that no other operation is on them.
 *  3. reserve  empty overlays on the layers of the snapshot, with their final names, and a note of
 *              whose they are. Of an undo: the discarded layers have their names again.
 *  4. switch   POINT OF NO RETURN. One change of the VM's record for all disks.
 *  5. tree     libvirt lists the snapshot as the one that the VM runs on, and it and those below it
 *              name the layers that stand on them now.
 *  6. retire   the layers that the disks have left are in quarantine, and the note names them; a
 *              workflow of its own, ExpireReverted, deletes them later.
 *  7. start    when it is asked for: the VM runs. A start that fails is a warning.
 *
 * Cancel: before 4 the overlays are deleted, or the layers are in quarantine again; after it, it is
 * refused and the revert completed. Terminate: the same request completes what has been switched;
 * what has not been switched is undone first. Invariants: I2, I6 (layers are known by inode), I8,
 * I9, I10, I16, I17 (4, 5).
 */
import type { CopyTarget } from '../../chain/references.ts';
import { cureOf } from '../../operation/cure.ts';
import { retry } from '../../operation/failures.ts';
import { agentsOf, type Agents, type Operation } from '../../operation/operation.ts';
import { forwardOnly, undoable } from '../../operation/point-of-no-return.ts';
import { run } from '../../operation/run.ts';
import type { poolsOnHost, poolsOnStorage } from '../../pools/activities.ts';
import { holdDisks } from '../disk-locks.ts';
import type { revertOnHost, revertOnStorage } from './activities.ts';
import { endExpiry, startExpiry } from './expire-reverted.ts';
import { revertKind, type RevertSnapshotResult } from './kind.ts';
import { giveBack, prepare, retireLayers } from './layers.ts';
import type { DiskSwitch } from './plan.ts';
import { planRevert } from './planning.ts';
import type { RevertSnapshotInput } from './request.ts';

type OnHost = typeof revertOnHost & typeof poolsOnHost;
type OnStorage = typeof revertOnStorage & typeof poolsOnStorage;

export interface Revert extends Operation<typeof revertKind>, Agents<OnHost, OnStorage> {
  /** Pools in which an undo has given files their names back. */
  restored: CopyTarget[];
  /** Of the plan, for the result. */
  warnings: string[];
}

/** What is to be, or has been, switched; and what the note says afterwards. */
export interface Switching {
  /** Of the note: an undo goes on with that of the revert. */
  jobId: string;
  change: DiskSwitch;
  then: 'kept' | 'undone';
}

export function RevertSnapshot(request: RevertSnapshotInput): Promise<RevertSnapshotResult> {
  return run(
    revertKind,
    request,
    (op) => () =>
      revert(Object.assign(op, agentsOf<OnHost, OnStorage>(op), { restored: [], warnings: [] })),
  );
}

async function revert(op: Revert): Promise<RevertSnapshotResult> {
  const planned = await planRevert(op); // 1
  if (planned.kind === 'done') return alreadyDone(op, planned.reason);
  if (planned.kind === 'completed') return start(op, planned.switching); // 7
  const locks = await holdDisks(op, op.status.disks); // 2
  try {
    const switching = await undoable(
      () => prepare(op, planned), // 3
      () => giveBack(op, planned),
    );
    const switched = await forwardOnly(() => switchDisks(op, switching.change)); // 4
    if (switched.outcome !== 'switched') {
      await forwardOnly(() => giveBack(op, planned));
      throw notSwitched(op, switched);
    }
    await forwardOnly(() => complete(op, switching)); // 5, 6
    if (planned.kind === 'undo')
      await forwardOnly(() => endExpiry(op.input.vm, planned.note.owner));
    return await forwardOnly(() => start(op, switching)); // 7
  } finally {
    await locks.release();
  }
}

async function switchDisks(op: Revert, change: DiskSwitch) {
  op.enter('switching');
  const summary = `change the record of ${change.vm}: ${change.disks.length} disk(s), all or none`;
  const switched = await op.host.ensureDisksSwitched(change, summary);
  if (switched.outcome === 'switched') op.point.isBehind();
  else op.point.takeBack(switched.reason);
  return switched;
}

/** Steps 5 and 6, also of what an earlier run has switched. */
export async function complete(op: Revert, switching: Switching): Promise<void> {
  const { jobId, change } = switching;
  const { vm, vmUuid, current } = change;
  op.truth = `the record of ${vm} names the layers after it; the same request completes it`;
  op.enter('retiring');
  // Where libvirt named none before, an undo leaves the one that it has come from.
  const name = current.to ?? current.from;
  if (name !== null) {
    const summary = `let libvirt's tree grow from snapshot ${name}`;
    await op.host.ensureSnapshotCurrent({ vm, vmUuid, name }, summary);
  }
  // First: what is in quarantine has an end, whatever ends this run.
  await startExpiry(op, { jobId, change, keepSeconds: op.input.keepSeconds });
  await retireLayers(op, switching);
}

async function start(op: Revert, { jobId, change, then }: Switching) {
  const { vm, vmUuid, current } = change;
  let why: string | null = null;
  if (op.input.start) {
    op.enter('starting');
    why = await op.host.ensureVmStarted({ vm, vmUuid }, `start VM ${vm}`);
  }
  const disks = change.disks.map(({ disk, from, to }) => ({
    ...{ disk, before: from.volume.path, now: to.volume.path },
  }));
  const names = disks.map(({ disk }) => disk).join(', ');
  const keptUntil = new Date(Date.now() + op.input.keepSeconds * 1000).toISOString();
  const done =
    then === 'kept' ? `is at snapshot ${current.to}` : 'has what it had before its revert';
  const undo = then === 'kept' ? ' (`--undo` brings it back)' : '';
  const warnings = why === null ? [] : [`the VM did not start: ${why}`];
  return {
    outcome: then === 'kept' ? ('reverted' as const) : ('undone' as const),
    summary: `${vm} ${done} (${names}); what it had is kept until ${keptUntil}${undo}`,
    snapshot: current.to,
    jobId,
    disks,
    chainAfter: disks.map(({ now }) => now),
    keptUntil,
    started: op.input.start && why === null,
    warnings: [...op.warnings, ...warnings, ...op.point.warnings()],
  };
}

function alreadyDone({ words }: Revert, reason: string): RevertSnapshotResult {
  return {
    outcome: 'already-done',
    summary: `${words}: already done, ${reason}`,
    ...{ snapshot: null, jobId: null, disks: [], chainAfter: [], keptUntil: null },
    ...{ started: false, warnings: [] },
  };
}

type NotSwitched = Exclude<Awaited<ReturnType<typeof switchDisks>>, { outcome: 'switched' }>;

const notSwitched = (op: Revert, { outcome, reason }: NotSwitched) =>
  retry(outcome === 'refused' ? 'command-failed' : 'vm-started', {
    attempted: op.words,
    now: `${reason}; the VM has the layers that it had`,
    next:
      outcome === 'refused'
        ? cureOf(reason, 'Fix that')
        : 'Shut the VM down, end what uses its disks, and repeat the request',
  });
