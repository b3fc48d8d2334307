/** Snapshots inside of the images of a VM in memory: planned, taken, listed, and deleted. */
import type { HostActivities } from '../../../../activities/host/index.ts';
import type { ResultOf } from '../../../../workflows/operation/activities.ts';
import type { insideOnHost } from '../../../../workflows/snapshot/inside/activities.ts';
import type { InsidePlan } from '../../../../workflows/snapshot/inside/plan.ts';
import type { GoingSnapshot, InnerPart } from '../../../../workflows/snapshot/delete/plan.ts';
import type { DeleteSnapshotInput } from '../../../../workflows/snapshot/delete/request.ts';
import type { SimulatedMachine } from '../simulated-machine.ts';
import { agentDied, passStrike, strikes } from '../simulated-switch.ts';
import type { SimulatedVm } from '../simulated-vm.ts';
import type { Implementations } from '../simulated-waits.ts';
import type { Inner } from './simulated-inner.ts';
import {
  assertNoUnfinishedRevert,
  assertReady,
  holdFor,
  refuse,
  unfinishedSnapshot,
} from './simulated-snapshot-plan.ts';

type Simulated = keyof typeof insideOnHost | 'ensureInnerSnapshotAbsent';
type Taken = ResultOf<typeof insideOnHost, 'ensureInsideTaken'>;

export const insideHost: Implementations<Pick<HostActivities, Simulated>> = {
  observeInsidePlan: ({ machine }, { request, since }) => {
    if (machine.state !== 'off') throw refuse('vm-running', `the VM is ${machine.state}`);
    if (unfinishedSnapshot(machine)) throw refuse('other-operation', 'a snapshot is unfinished');
    assertNoUnfinishedRevert(machine);
    const snapshot = request.name ?? 'unnamed';
    const seconds = since === null ? nowSeconds() : secondsOf(since);
    const listed = machine.tree.find(snapshot);
    const isOurs = since !== null && listed && isInside(listed.disks);
    if (listed && !isOurs) throw refuse('snapshot-exists', `${snapshot} is listed`);
    const disks = machine.disks.map((vm) => {
      assertReady(vm);
      const path = vm.persistentPaths().at(-1) ?? '';
      const other = vm
        .paths()
        .flatMap((layer) => vm.inner.named(layer, snapshot))
        .find(({ takenSeconds }) => since === null || takenSeconds < seconds);
      if (other) throw refuse('snapshot-exists', `${path} has ${snapshot} inside`);
      return { disk: vm.disk, image: imageOf(vm, path) };
    });
    return {
      ...{ vm: machine.name, vmUuid: machine.uuid, host: request.host, snapshot },
      ...{ since: seconds, description: request.description, disks, left: [] },
    };
  },
  ensureInsideTaken: ({ machine }, plan) => take(machine, plan),
  ensureInsideListed({ machine }, { snapshot, since, disks }) {
    const { tree } = machine;
    if (tree.find(snapshot)) return;
    const inside = { kind: 'internal', source: null } as const;
    tree.add({
      name: snapshot,
      createdAt: since,
      disks: new Map(disks.map(({ disk }) => [disk, inside])),
      domain: new Map(disks.map(({ disk, image }) => [disk, image.path])),
    });
    passStrike();
  },
  ensureLeaksRepaired: () => [],
  ensureInnerSnapshotAbsent({ machine }, { part, parts }) {
    const vm = machine.disk(part.disk);
    if (!innerIn(vm, part)) return { regainedBytes: 0 };
    if (machine.state === 'off') {
      if (!mayChange(vm, part.volume.path)) throw refuse('volume-in-use', 'it is open');
      removeInner(vm, part);
    } else {
      assertLive(machine, parts);
      passStrike();
      // By name, on all disks at once; then libvirt forgets it.
      for (const one of parts) removeInner(machine.disk(one.disk), one);
      machine.tree.forget(part.handle.name);
    }
    passStrike('agent late');
    return { regainedBytes: 0 };
  },
};

/** On the clock of the audit log, which says since when a snapshot may be ours. */
const nowSeconds = () => secondsOf(new Date().toISOString());
const secondsOf = (time: string) => Math.floor(Date.parse(time) / 1000);

export const isInside = (disks: ReadonlyMap<string, { kind: string }>) =>
  [...disks.values()].some(({ kind }) => kind === 'internal');

/** One of its layers has one of that name. */
export const hasInside = (vm: SimulatedVm, name: string): boolean =>
  vm.paths().some((path) => vm.inner.named(path, name).length > 0);

const imageOf = (vm: SimulatedVm, path: string) => ({
  path,
  pool: path.split('/')[1] ?? '',
  identity: vm.files.identity(path) ?? '',
});

/** QEMU's locks are free: only then a tool of others changes the file, too. */
export const mayChange = (vm: SimulatedVm, path: string): boolean =>
  vm.state === 'off' && vm.coldSinceMs === null && !vm.images.isHeld(vm.files.identity(path) ?? '');

/** A user's `qemu-img snapshot -c`, or `-d` of all that have the name. */
export function byQemuImg(
  vm: SimulatedVm,
  path: string,
  { name, deletes }: { name: string; deletes: boolean },
): void {
  if (!deletes) vm.inner.take(path, name, nowSeconds());
  else for (const { id } of vm.inner.named(path, name)) vm.inner.remove(path, id);
  vm.content.touch(path);
}

function innerIn(vm: SimulatedVm, { handle, volume, takenSeconds }: InnerPart) {
  if (vm.files.identity(volume.path) !== volume.identity) {
    throw holdFor('identity-changed', `${volume.path} is another file`);
  }
  return vm.inner
    .named(volume.path, handle.name)
    .find((one) => one.id === handle.id && one.takenSeconds === takenSeconds);
}

function removeInner(vm: SimulatedVm, part: InnerPart): void {
  if (!innerIn(vm, part)) return;
  vm.inner.remove(part.volume.path, part.handle.id);
  vm.content.touch(part.volume.path);
}

const partsOf = (machine: SimulatedMachine, { disks, snapshot, since }: InsidePlan) =>
  new Map<string, Inner>(
    disks.flatMap(({ disk, image }) => {
      const vm = machine.disk(disk);
      if (vm.files.identity(image.path) !== image.identity) {
        throw holdFor('identity-changed', `${image.path} is another file`);
      }
      const part = vm.inner
        .named(image.path, snapshot)
        .find(({ takenSeconds }) => takenSeconds >= since);
      return part ? [[disk, part] as const] : [];
    }),
  );

function changeOf(machine: SimulatedMachine, { disks }: InsidePlan): string | null {
  if (machine.state !== 'off') return `the VM is ${machine.state} now`;
  const moved = disks.find(
    ({ disk, image }) => machine.disk(disk).persistentPaths().at(-1) !== image.path,
  );
  if (moved) return `${moved.disk} is on another file now`;
  const open = disks.find(({ disk, image }) => !mayChange(machine.disk(disk), image.path));
  if (open) throw refuse('volume-in-use', `${open.image.path} is open`);
  return null;
}

/** One transaction of a daemon, which may be killed in it; what only some images have goes. */
function take(machine: SimulatedMachine, plan: InsidePlan): Taken {
  for (;;) {
    const parts = partsOf(machine, plan);
    if (plan.disks.every(({ disk }) => parts.has(disk))) {
      const ids = [...parts].map(([disk, { id }]) => [disk, id] as const);
      return { outcome: 'taken', ids: Object.fromEntries(ids) };
    }
    const changed = changeOf(machine, plan);
    if (changed !== null) return { outcome: 'changed', reason: changed };
    for (const { disk, image } of plan.disks) {
      const part = parts.get(disk);
      if (part) machine.disk(disk).inner.remove(image.path, part.id);
    }
    passStrike();
    for (const { disk, image } of plan.disks) {
      const vm = machine.disk(disk);
      vm.inner.take(image.path, plan.snapshot, nowSeconds());
      vm.content.touch(image.path);
      if (strikes('qemu')) break;
      if (strikes('agent late')) throw agentDied();
    }
    passStrike('agent last');
  }
}

/** QEMU deletes by name. */
function assertLive(machine: SimulatedMachine, parts: readonly InnerPart[]): void {
  for (const vm of machine.disks) {
    const active = vm.paths().at(-1) ?? '';
    const own = parts.filter(({ disk }) => disk === vm.disk);
    const name = parts[0]?.handle.name ?? '';
    const same = vm.inner.named(active, name).length;
    const isBelow = own.some(({ volume }) => volume.path !== active);
    if (isBelow || same > 1 || (same === 1 && own.length === 0)) {
      throw refuse('vm-running', `${active} cannot lose ${name} while the VM runs`);
    }
  }
}

/** @param input names one that is inside, or that libvirt does not list */
export function goingInside(machine: SimulatedMachine, input: DeleteSnapshotInput): GoingSnapshot {
  const { name, only } = input;
  const listed = machine.tree.find(name);
  const recorded = [...(listed?.disks ?? [])].flatMap(([disk, { kind }]) =>
    kind === 'internal' ? [disk] : [],
  );
  const parts = machine.disks.flatMap((vm) => {
    if (only && only.disk !== vm.disk) return [];
    const found = vm.paths().flatMap((path) =>
      vm.inner
        .named(path, name)
        .filter(({ id }) => !only || id === only.handle.id)
        .map((inner) => partOf(vm, path, inner)),
    );
    if (found.length > 1) throw refuse('internal-snapshots', `${vm.slug} has several ${name}`);
    return found;
  });
  if (parts.length === 0 && (only || recorded.length === 0)) {
    throw refuse('unknown-snapshot', `no image has ${name}`);
  }
  if (parts.length > 0 && machine.state !== 'off') assertLive(machine, parts);
  for (const { disk } of parts) assertReady(machine.disk(disk));
  return {
    ...{ name, takenAt: null, disks: [], memory: null },
    inside: {
      parts,
      gone: only ? [] : recorded.filter((disk) => !parts.some((part) => part.disk === disk)),
      images: parts.map(({ volume }) => volume),
      record: recordAfter(machine, { name, recorded, parts }),
      warnings: [],
    },
  };
}

const partOf = (vm: SimulatedVm, path: string, { id, name, takenSeconds }: Inner): InnerPart => ({
  ...{ disk: vm.disk, volume: imageOf(vm, path), takenSeconds },
  handle: { format: 'qcow2', id, name },
});

function recordAfter(
  machine: SimulatedMachine,
  { name, recorded, parts }: { name: string; recorded: string[]; parts: InnerPart[] },
) {
  if (recorded.length === 0) return 'none';
  const stays = recorded.some((disk) => {
    const vm = machine.disk(disk);
    const going = parts.filter((part) => part.disk === disk).length;
    return vm.paths().flatMap((path) => vm.inner.named(path, name)).length > going;
  });
  return stays ? 'stays' : 'goes';
}
