/** What an earlier revert of the VM asks for now: to be completed, to be undone, or nothing. */
import { dirname } from 'node:path';
import { refused } from '../../../../workflows/operation/failures.ts';
import { backwards, changeOf } from '../../../../workflows/snapshot/revert/change.ts';
import type {
  DiskSwitch,
  RevertNote,
  RevertPlan,
  RevertPlanOutcome,
} from '../../../../workflows/snapshot/revert/plan.ts';
import type { RevertSnapshotInput } from '../../../../workflows/snapshot/revert/request.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import { identityIn } from '../../../pool-folder/id.ts';
import { quarantinePathOf } from '../../../pool-folder/quarantine.ts';
import type { VmLook } from '../../chain/observe-vm.ts';
import { overlaysOf } from '../../snapshots/creation-notes.ts';
import { baseChanged, changedBelow } from './below.ts';
import { divergent } from './ensure-disks-switched.ts';
import { assertNoUnfinishedRevert } from '../../snapshots/revert-notes.ts';
import { areAll, sidesInWords, sidesOf } from './sides.ts';
import { shell } from '../../../../workflows/operation/names.ts';

type Undo = Extract<RevertPlanOutcome, { kind: 'undo' }>;

interface Question {
  attempted: string;
  input: RevertSnapshotInput;
  vm: VmLook;
}

/** Of the first one that is unfinished; null without. @throws Hold `divergent-chain` */
export async function unfinishedRevert(
  question: Question,
  notes: readonly RevertNote[],
): Promise<RevertPlanOutcome | null> {
  for (const note of notes) {
    const { state } = note;
    if (state.phase === 'begun') return begun(question, note, state.plan);
    if (state.phase === 'undoing') return undoing(question, note, state.change);
  }
  return null;
}

async function begun(
  { attempted, input, vm }: Question,
  note: RevertNote,
  plan: RevertPlan,
): Promise<RevertPlanOutcome> {
  const change = changeOf(plan, await overlaysOf(note.jobId, plan));
  const layers = plan.disks.map(({ disk, retired: from }) => {
    const to = change.disks.find((each) => each.disk === disk)?.to ?? null;
    return { disk, from, to };
  });
  const sides = await sidesOf(vm.persistentDomain, layers);
  if (areAll(sides, 'to')) {
    return { kind: 'switched', note, change, isThis: plan.snapshot === input.name };
  }
  if (sides.every(({ side }) => side !== 'to')) return { kind: 'leftover', note, plan };
  throw divergent(attempted, vm.name, sidesInWords(sides));
}

async function undoing(
  { attempted, input, vm }: Question,
  note: RevertNote,
  change: DiskSwitch,
): Promise<RevertPlanOutcome> {
  const sides = await sidesOf(vm.persistentDomain, change.disks);
  if (areAll(sides, 'from')) {
    return { kind: 'switched', note, change: backwards(change), isThis: input.undo };
  }
  if (!areAll(sides, 'to')) throw divergent(attempted, vm.name, sidesInWords(sides));
  if (!input.undo) await assertNoUnfinishedRevert(attempted, vm);
  return undoOf(attempted, note, change);
}

/**
 * The newest one that is not undone, of those that have left the layers that the disks have now: an
 * undo that is repeated goes on with the revert before.
 * @throws Refused: nothing-to-undo, base-changed
 */
export async function lastRevert(
  { attempted, vm }: Question,
  notes: readonly RevertNote[],
): Promise<RevertPlanOutcome> {
  let undoneAt: string | null = null;
  for (const note of notes) {
    const { state } = note;
    if (state.phase === 'begun') continue;
    const { change, phase } = state;
    if (!areAll(await sidesOf(vm.persistentDomain, change.disks), 'to')) continue;
    if (phase !== 'kept') undoneAt ??= note.time;
    else if (undoneAt === null) return undoOf(attempted, note, change);
    else return { ...(await before(attempted, undoneAt, note, change)), laterUndoneAt: undoneAt };
  }
  if (undoneAt !== null) {
    return { kind: 'done', reason: `its last revert was undone at ${undoneAt}` };
  }
  throw refused('nothing-to-undo', {
    attempted,
    now:
      `no revert of ${vm.name} has left the layers that its disks have now, or what it discarded ` +
      'is deleted; nothing was done',
    next:
      `See ${shell`blockflow events ${vm.name}`} and ` +
      `${shell`blockflow snapshot list ${vm.name}`}`,
  });
}

const before = (attempted: string, undoneAt: string, note: RevertNote, change: DiskSwitch) =>
  undoOf(
    `${attempted}: of the revert at ${note.time}, the one before it (a later one was undone at ` +
      `${undoneAt})`,
    note,
    change,
  );

async function undoOf(attempted: string, note: RevertNote, change: DiskSwitch): Promise<Undo> {
  const now = await changedBelow(change);
  if (now !== null) throw baseChanged(attempted, now);
  for (const { from } of change.disks) {
    const { path } = from.volume;
    const identity = await identityIn(dirname(path), from.volume);
    const names = [path, quarantinePathOf(path, note.jobId)];
    const files = await Promise.all(names.map((name) => observeFile(name)));
    if (files.some((file) => file !== null && file.identity === identity)) continue;
    throw refused('nothing-to-undo', {
      attempted,
      now: `${path}, which the revert has discarded, is deleted; nothing was done`,
      next: 'Keep the disks as they are, or go back to another snapshot',
    });
  }
  return { kind: 'undo', note, change };
}
