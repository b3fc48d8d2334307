/** How a snapshot of a VM in memory is planned, taken and listed, and where processes die in it. */
import {
  overtakenIn,
  verdictOf,
  type DiskViews,
  type Layer,
} from '../../../../activities/host/snapshot/look.ts';
import type { snapshotOnHost, Taking } from '../../../../workflows/snapshot/create/activities.ts';
import type { snapshotListOnHost } from '../../../../workflows/snapshot/list/activities.ts';
import type { ListedSnapshot } from '../../../../workflows/snapshot/list/schemas.ts';
import type { ResultOf } from '../../../../workflows/operation/activities.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import { isLocked } from '../simulated-images.ts';
import { passStrike, strikes, agentDied } from '../simulated-switch.ts';
import type { SimulatedMachine } from '../simulated-machine.ts';
import type { SimulatedVm } from '../simulated-vm.ts';
import type { Implementations } from '../simulated-waits.ts';
import type { HostActivities } from '../../../../activities/host/index.ts';
import {
  assertNoUnfinishedRevert,
  holdFor,
  planOf,
  unfinishedSnapshot,
} from './simulated-snapshot-plan.ts';
import type { ListedPoint } from './simulated-tree.ts';

type Taken = ResultOf<typeof snapshotOnHost, 'ensureSnapshotTaken'>;

type Simulated = keyof typeof snapshotOnHost | keyof typeof snapshotListOnHost;

export const snapshotHost: Implementations<Pick<HostActivities, Simulated>> = {
  observeSnapshotTree({ machine }, { vm, host }) {
    const { uuid, state, stateReason, tree } = machine;
    const nothing = { unlistedInternal: [], faults: [] };
    const snapshots = tree.points.map((point) => listedOf(machine, point));
    const named = snapshots.flatMap(({ disks }) => disks.map(({ layer }) => layer));
    const unnamedLayers = machine.disks.flatMap((one) =>
      one
        .paths()
        .slice(1)
        .filter((path) => !named.includes(path))
        .map((path) => ({ disk: one.disk, path, allocatedBytes: 0 })),
    );
    const found = { vm: { name: vm, uuid, state, stateReason }, host, snapshots, unnamedLayers };
    return { ...found, ...nothing };
  },
  observeSnapshotPlan({ machine }, input) {
    const earlier = unfinishedSnapshot(machine);
    if (earlier) return { kind: 'unfinished', earlier };
    assertNoUnfinishedRevert(machine);
    return { kind: 'plan', plan: planOf(machine, input) };
  },
  ensureSnapshotTaken(vm, taking) {
    const taken = take(vm.machine, taking);
    vm.switchRefused ||= taken.outcome !== 'taken';
    return taken;
  },
  ensureSnapshotSettled: ({ machine }, taking) => settle(machine, taking),
  ensureSnapshotListed({ machine }, { plan }) {
    const { tree } = machine;
    if (tree.find(plan.snapshot)) return;
    const { disks } = machine;
    const planned = (vm: SimulatedVm) => plan.disks.find(({ disk }) => disk === vm.disk);
    const overlayOf = (vm: SimulatedVm) => {
      const part = planned(vm);
      return part ? `${part.to.folder}/${part.name}` : null;
    };
    tree.add({
      name: plan.snapshot,
      createdAt: plan.createdAt,
      disks: new Map(
        disks.map((vm) => {
          const source = overlayOf(vm);
          return [vm.disk, { kind: source === null ? 'no' : 'external', source }];
        }),
      ),
      domain: new Map(
        disks.map((vm) => [vm.disk, planned(vm)?.base.path ?? vm.persistentPaths().at(-1) ?? '']),
      ),
    });
    passStrike();
  },
};

/** Its time is that of the workflows' clock: the VM's own may have been set forward. */
function listedOf(machine: SimulatedMachine, point: ListedPoint): ListedSnapshot {
  const aheadMs = machine.now() - Date.now();
  const disks = [...point.disks].map(([disk, { kind, source }]) => ({
    ...{ disk, kind, layer: source, found: null, allocatedBytes: 0, inside: [] },
  }));
  const kinds = new Set(disks.map(({ kind }) => kind));
  return {
    ...{ name: point.name, parent: point.parent, description: '', memory: 'no', memoryFile: null },
    takenAt: new Date(point.createdAt * 1000 - aheadMs).toISOString(),
    kind: kinds.has('internal') ? 'internal' : 'external',
    isCurrent: machine.tree.current === point.name,
    ...{ disks, allocatedBytes: 0, faults: [] },
  };
}

function take(machine: SimulatedMachine, taking: Taking): Taken {
  const before = settle(machine, taking);
  if (before.outcome === 'taken' || before.outcome === 'changed') return before;
  const isRunning = machine.state !== 'off';
  if (isRunning !== taking.plan.running) {
    return { outcome: 'changed', reason: `the VM is ${machine.state} now` };
  }
  return isRunning ? takeOfRunning(machine, taking) : takeOfStopped(machine, taking);
}

const eachDisk = (machine: SimulatedMachine, { plan, overlays }: Taking) =>
  plan.disks.map(({ disk, base }) => ({
    vm: machine.disk(disk),
    base,
    overlay: overlays.find((one) => one.disk === disk)?.volume ?? null,
  }));

function viewsOf(machine: SimulatedMachine, taking: Taking): DiskViews[] {
  const isOff = machine.state === 'off';
  return eachDisk(machine, taking).map(({ vm, base, overlay }) => {
    const identityOf = (chain: readonly Volume[]) => vm.files.identity(chain.at(-1)?.path ?? '');
    const written = vm.unseen ?? vm.live;
    const views = isOff ? [vm.persistent] : [vm.live, vm.persistent, written];
    const isOneFile = new Set(views.map(identityOf)).size === 1;
    const layerOf = (chain: readonly Volume[]): Layer => {
      if (identityOf(chain) === base.identity) return 'base';
      if (chain.some(({ identity }) => identity === overlay?.identity)) return 'overlay';
      return isOneFile ? 'another' : 'other';
    };
    return {
      disk: vm.disk,
      live: isOff ? null : layerOf(vm.live),
      recorded: layerOf(vm.persistent),
      written: isOff ? null : layerOf(written),
    };
  });
}

/** One way back after the other, until the views agree. */
function settle(machine: SimulatedMachine, taking: Taking): Taken {
  for (;;) {
    const views = viewsOf(machine, taking);
    const verdict = verdictOf(views);
    if (verdict === 'divergent') throw holdFor('divergent-chain', JSON.stringify(views));
    if (verdict === 'unseen') goBack(machine);
    else if (verdict === 'unrecorded') define(machine, taking);
    else {
      giveBack(machine);
      const disks = overtakenIn(views).join(', ');
      if (disks !== '') return { outcome: 'changed', reason: `${disks} has other layers` };
      if (verdict === 'not-taken') return { outcome: 'not-taken', reason: 'nothing was begun' };
      return { outcome: 'taken', stallMs: null, quiesced: false, warnings: [] };
    }
    passStrike();
  }
}

/** Saved with its memory and started again, the guest goes on with the bases. */
function goBack(machine: SimulatedMachine): void {
  if (!machine.snapshotSuspends) {
    throw holdFor('divergent-chain', 'QEMU writes to overlays, libvirt shows the bases');
  }
  for (const vm of machine.disks) {
    vm.unseen = null;
    vm.live = [...vm.persistent];
  }
  machine.state = 'running';
  machine.snapshotSuspends = false;
}

function giveBack(machine: SimulatedMachine): void {
  if (machine.snapshotSuspends && machine.state === 'paused') machine.state = 'running';
  machine.snapshotSuspends = false;
}

/** All disks by one change of the record. */
function define(machine: SimulatedMachine, taking: Taking): void {
  for (const { vm, overlay } of eachDisk(machine, taking)) {
    if (overlay && !vm.files.has(overlay.path)) vm.violations.push(`${overlay.path} is recorded`);
    vm.persistent = vm.volumes(overlay?.path ?? '');
  }
  machine.disks[0]?.effects.push('define');
}

/** Suspend, one transaction, record, resume; the script dies with its agent, which is the worst. */
function takeOfRunning(machine: SimulatedMachine, taking: Taking): Taken {
  machine.state = 'paused';
  machine.snapshotSuspends = true;
  passStrike();
  const disks = eachDisk(machine, taking);
  for (const { vm, base, overlay } of disks) {
    vm.advance();
    vm.content.freeze(base.path);
    vm.unseen = vm.volumes(overlay?.path ?? '');
  }
  machine.disks[0]?.effects.push('snapshot');
  if (strikes('libvirtd')) throw agentDied();
  for (const { vm } of disks) {
    vm.live = vm.unseen ?? vm.live;
    vm.unseen = null;
  }
  if (strikes('qemu')) {
    machine.stop('shut off (crashed)');
    return settle(machine, taking);
  }
  passStrike('agent late');
  define(machine, taking);
  passStrike('agent last');
  return settle(machine, taking);
}

/** QEMU's locks on the bases keep the VM from starting between the look and the change. */
function takeOfStopped(machine: SimulatedMachine, taking: Taking): Taken {
  const disks = eachDisk(machine, taking);
  if (disks.some(({ vm, base }) => isLocked(vm, base.path))) {
    return { outcome: 'changed', reason: 'some process has a disk open' };
  }
  passStrike();
  for (const { vm, base } of disks) vm.content.freeze(base.path);
  define(machine, taking);
  passStrike('agent late');
  return settle(machine, taking);
}
