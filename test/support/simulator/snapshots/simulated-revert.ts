/** How a VM in memory that is down goes back to a snapshot, or brings back what it has left. */
import {
  areAll,
  sidesInWords,
  type DiskSide,
} from '../../../../activities/host/snapshot/revert/sides.ts';
import type { HostActivities } from '../../../../activities/host/index.ts';
import type { revertOnHost } from '../../../../workflows/snapshot/revert/activities.ts';
import { backwards, changeOf } from '../../../../workflows/snapshot/revert/change.ts';
import type {
  DiskSwitch,
  Fingerprint,
  RevertLayer,
  RevertNote,
  RevertPlan,
  RevertPlanOutcome,
} from '../../../../workflows/snapshot/revert/plan.ts';
import type { RevertSnapshotInput } from '../../../../workflows/snapshot/revert/request.ts';
import type { ResultOf } from '../../../../workflows/operation/activities.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import { tombOf } from '../simulated-deletion.ts';
import { isLocked } from '../simulated-images.ts';
import type { SimulatedMachine } from '../simulated-machine.ts';
import { passStrike } from '../simulated-switch.ts';
import type { SimulatedVm } from '../simulated-vm.ts';
import type { Implementations } from '../simulated-waits.ts';
import {
  assertNamesFree,
  assertNoUnfinishedRevert,
  assertReady,
  holdFor,
  refuse,
  targetOf,
  toOverlay,
  unfinishedSnapshot,
} from './simulated-snapshot-plan.ts';
import { isInside } from './simulated-inside.ts';
import { overlaysOf } from './simulated-notes.ts';
import type { ListedPoint } from './simulated-tree.ts';

export const revertHost: Implementations<Pick<HostActivities, keyof typeof revertOnHost>> = {
  observeRevertPlan({ machine }, input) {
    const unfinished = unfinishedRevert(machine, input);
    if (unfinished?.kind === 'switched') return unfinished;
    if (machine.state !== 'off') throw refuse('vm-running', `the VM is ${machine.state}`);
    if (unfinished) return unfinished;
    if (unfinishedSnapshot(machine)) throw refuse('other-operation', 'a snapshot is unfinished');
    if (input.name !== null) return { kind: 'plan', plan: planOf(machine, input) };
    const last = lastRevert(machine);
    if (last.kind === 'undo') {
      for (const { disk } of last.change.disks) assertReady(machine.disk(disk));
    }
    return last;
  },
  ensureDisksSwitched(vm, change) {
    const switched = switchDisks(vm.machine, change);
    vm.switchRefused ||= switched.outcome !== 'switched';
    return switched;
  },
  ensureSnapshotCurrent({ machine }, { name }) {
    if (machine.tree.find(name)) machine.tree.current = name;
    passStrike();
  },
  ensureVmStarted({ machine }) {
    machine.start();
    return machine.state === 'off' ? 'QEMU does not get its locks' : null;
  },
};

type Layers = Pick<DiskSwitch['disks'][number], 'disk' | 'from'> & { to: RevertLayer | null };

function sidesOf(machine: SimulatedMachine, layers: readonly Layers[]): DiskSide[] {
  return layers.map(({ disk, from, to }) => {
    const vm = machine.disk(disk);
    const names = vm.persistentPaths().at(-1) ?? '';
    const identity = vm.files.identity(names);
    const isFrom =
      (names === from.volume.path && identity === null) || identity === from.volume.identity;
    const isTo = identity !== null && identity === to?.volume.identity;
    return { disk, side: isFrom ? 'from' : isTo ? 'to' : 'other', names };
  });
}

const divergent = (sides: readonly DiskSide[]) => holdFor('divergent-chain', sidesInWords(sides));

function unfinishedRevert(
  machine: SimulatedMachine,
  input: RevertSnapshotInput,
): RevertPlanOutcome | null {
  for (const note of machine.notes.reverts()) {
    const { state } = note;
    if (state.phase === 'begun') return begun(machine, input, note, state.plan);
    if (state.phase === 'undoing') return undoing(machine, input, note, state.change);
  }
  return null;
}

function begun(
  machine: SimulatedMachine,
  input: RevertSnapshotInput,
  note: RevertNote,
  plan: RevertPlan,
): RevertPlanOutcome {
  const change = changeOf(plan, overlaysOf(machine, note.jobId, plan.disks));
  const layers = plan.disks.map(({ disk, retired: from }) => {
    const to = change.disks.find((each) => each.disk === disk)?.to ?? null;
    return { disk, from, to };
  });
  const sides = sidesOf(machine, layers);
  if (areAll(sides, 'to')) {
    return { kind: 'switched', note, change, isThis: plan.snapshot === input.name };
  }
  if (sides.every(({ side }) => side !== 'to')) return { kind: 'leftover', note, plan };
  throw divergent(sides);
}

function undoing(
  machine: SimulatedMachine,
  input: RevertSnapshotInput,
  note: RevertNote,
  change: DiskSwitch,
): RevertPlanOutcome {
  const sides = sidesOf(machine, change.disks);
  if (areAll(sides, 'from')) {
    return { kind: 'switched', note, change: backwards(change), isThis: input.undo };
  }
  if (!areAll(sides, 'to')) throw divergent(sides);
  if (!input.undo) assertNoUnfinishedRevert(machine);
  return undoOf(machine, note, change);
}

function lastRevert(machine: SimulatedMachine): RevertPlanOutcome {
  let laterUndoneAt: string | undefined;
  for (const note of machine.notes.reverts()) {
    const { state } = note;
    if (state.phase === 'begun') continue;
    if (!areAll(sidesOf(machine, state.change.disks), 'to')) continue;
    if (state.phase === 'kept') {
      const undo = undoOf(machine, note, state.change);
      return laterUndoneAt === undefined ? undo : { ...undo, laterUndoneAt };
    }
    laterUndoneAt ??= note.time;
  }
  if (laterUndoneAt !== undefined) {
    return { kind: 'done', reason: `its last revert was undone at ${laterUndoneAt}` };
  }
  throw refuse('nothing-to-undo', 'no revert has left the layers that the disks have now');
}

type Undo = Extract<RevertPlanOutcome, { kind: 'undo' }>;

function undoOf(machine: SimulatedMachine, note: RevertNote, change: DiskSwitch): Undo {
  const now = changedBelow(machine, change);
  if (now !== null) throw refuse('base-changed', now);
  for (const { disk, from } of change.disks) {
    const { files } = machine.disk(disk);
    const { path, identity } = from.volume;
    const names = [path, tombOf(note.jobId, path)];
    if (names.some((name) => files.identity(name) === identity)) continue;
    throw refuse('nothing-to-undo', `${path} is deleted`);
  }
  return { kind: 'undo', note, change };
}

function changedBelow(
  machine: SimulatedMachine,
  { disks }: Pick<DiskSwitch, 'disks'>,
): string | null {
  for (const { disk, below } of disks) {
    const vm = machine.disk(disk);
    for (const { path, identity, modifiedNs } of below) {
      if (!vm.files.has(path)) return `${path} does not exist any more`;
      if (vm.files.identity(path) !== identity) return `${path} is another file now`;
      if (String(vm.content.layer(path).writes) !== modifiedNs) return `${path} was changed`;
    }
  }
  return null;
}

/** What a clock may be off, and a QEMU take to end its last write. */
const GRACE_SECONDS = 60;
let reverts = 0;

function planOf(machine: SimulatedMachine, { host, name }: RevertSnapshotInput): RevertPlan {
  const point = machine.tree.find(name ?? '');
  if (!point) throw refuse('unknown-snapshot', `libvirt lists no ${name}`);
  const parts = machine.disks.filter(({ disk }) => point.disks.get(disk)?.kind === 'external');
  if (isInside(point.disks)) throw refuse('internal-snapshots', `${name} is inside of images`);
  if (parts.length === 0) throw refuse('unsupported-format', `${name} has no layers`);
  const ending = `r${++reverts}`;
  const disks = parts.map((vm) => {
    const based = basedOn(vm, point);
    assertReady(vm);
    const active = vm.persistent.at(-1) as Volume;
    const to = targetOf(active.path);
    const { path, identity } = active;
    return {
      ...toOverlay(vm, based, ending),
      retired: { volume: { path, pool: to.pool, identity }, format: 'qcow2' as const, to },
      below: fingerprintsOf(vm, [...vm.persistent.slice(0, -1), ...based]),
    };
  });
  assertNamesFree(machine, disks);
  const stay = [...point.disks].flatMap(([disk, { kind }]) => (kind === 'no' ? [disk] : []));
  return {
    vm: machine.name,
    vmUuid: machine.uuid,
    host,
    snapshot: point.name,
    before: machine.tree.current,
    disks,
    stay,
    stayed: stay.map((disk) => ({ disk, layer: point.domain.get(disk) ?? '' })),
    takenAt: new Date(point.createdAt * 1000).toISOString(),
    warnings: [],
  };
}

/** The layers of a restore point, unchanged since. */
function basedOn(vm: SimulatedVm, { domain, createdAt }: ListedPoint): Volume[] {
  const chain = vm.volumes(domain.get(vm.disk) ?? '');
  for (const { path } of chain) {
    if (!vm.files.has(path)) throw refuse('broken-chain', `${path} does not exist`);
    if (vm.coldSinceMs !== null) throw refuse('volume-in-use', `qemu-img has ${path} open`);
    const { modifiedMs } = vm.content.layer(path);
    const isSame = modifiedMs < (createdAt + GRACE_SECONDS + 1) * 1000;
    if (!isSame) throw refuse('base-changed', `${path} was changed since`);
  }
  return chain;
}

function fingerprintsOf(
  { content, files }: SimulatedVm,
  volumes: readonly Volume[],
): Fingerprint[] {
  const paths = [...new Set(volumes.map(({ path }) => path))];
  return paths.map((path) => ({
    path,
    identity: files.identity(path) ?? '',
    sizeBytes: 0,
    modifiedNs: String(content.layer(path).writes),
  }));
}

type Switched = ResultOf<typeof revertOnHost, 'ensureDisksSwitched'>;
const changed = (reason: string): Switched => ({ outcome: 'changed', reason });

function switchDisks(machine: SimulatedMachine, change: DiskSwitch): Switched {
  if (isSwitched(machine, change)) return { outcome: 'switched' };
  const disks = change.disks.map((part) => ({ vm: machine.disk(part.disk), ...part }));
  if (disks.some(({ vm, from }) => isLocked(vm, from.volume.path))) {
    return changed('some process has opened a disk');
  }
  if (machine.state !== 'off') return changed(`the VM is ${machine.state} now`);
  const missing = disks.find(
    ({ vm, to }) => vm.files.identity(to.volume.path) !== to.volume.identity,
  );
  if (missing) return changed(`${missing.to.volume.path} is not the file that was made`);
  const unlike = changedBelow(machine, change);
  if (unlike !== null) return changed(unlike);
  passStrike();
  for (const { vm, to } of disks) {
    const [left, now] = [vm.persistentPaths().at(-1) ?? '', to.volume.path];
    vm.content.turn(left, now, vm.files.backing(now));
    vm.persistent = vm.volumes(now);
  }
  machine.disks[0]?.effects.push('revert');
  passStrike('agent late');
  return isSwitched(machine, change) ? { outcome: 'switched' } : changed('it shows the old one');
}

function isSwitched(machine: SimulatedMachine, { disks }: DiskSwitch): boolean {
  const sides = sidesOf(machine, disks);
  if (areAll(sides, 'from')) return false;
  if (areAll(sides, 'to')) return true;
  throw divergent(sides);
}
