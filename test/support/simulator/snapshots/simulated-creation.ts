/** How a snapshot of a VM in memory is planned, taken and listed, and where processes die in it. */
import {
  verdictOf,
  type DiskViews,
  type Layer,
} from '../../../../activities/host/snapshot/look.ts';
import { overlayName } from '../../../../activities/host/snapshot/planning/overlays.ts';
import {
  hold,
  refused,
  type HoldCode,
  type RefusalCode,
} from '../../../../workflows/operation/failures.ts';
import { fileName } from '../../../../workflows/operation/words.ts';
import type { snapshotOnHost, Taking } from '../../../../workflows/snapshot/create/activities.ts';
import type {
  PlannedDisk,
  SnapshotPlan,
  Unfinished,
} from '../../../../workflows/snapshot/create/plan.ts';
import type { CreateSnapshotInput } from '../../../../workflows/snapshot/create/request.ts';
import type { ResultOf } from '../../../../workflows/operation/activities.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import { disagreementOf } from '../simulated-plan.ts';
import { isLocked } from '../simulated-images.ts';
import { passStrike, strikes, agentDied } from '../simulated-switch.ts';
import type { SimulatedMachine } from '../simulated-machine.ts';
import type { SimulatedVm } from '../simulated-vm.ts';
import type { Implementations } from '../simulated-waits.ts';
import type { HostActivities } from '../../../../activities/host/index.ts';
import { overlaysOf } from './simulated-notes.ts';

type Taken = ResultOf<typeof snapshotOnHost, 'ensureSnapshotTaken'>;

const words = (now: string) => ({ attempted: 'a snapshot', now, next: 'Fix it' });
export const refuse = (code: RefusalCode, now: string) => refused(code, words(now));
export const holdFor = (code: HoldCode, now: string) => hold(code, words(now));

export const snapshotHost: Implementations<Pick<HostActivities, keyof typeof snapshotOnHost>> = {
  observeSnapshotPlan({ machine }, input) {
    const earlier = unfinishedSnapshot(machine);
    if (earlier) return { kind: 'unfinished', earlier };
    assertNoUnfinishedRevert(machine);
    return { kind: 'plan', plan: planOf(machine, input) };
  },
  ensureSnapshotTaken({ machine }, taking) {
    const before = settle(machine, taking);
    if (before.outcome === 'taken') return before;
    const isRunning = machine.state !== 'off';
    if (isRunning !== taking.plan.running) {
      return { outcome: 'changed', reason: `the VM is ${machine.state} now` };
    }
    return isRunning ? takeOfRunning(machine, taking) : takeOfStopped(machine, taking);
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

/** What an earlier run began, as its note says. */
export function unfinishedSnapshot(machine: SimulatedMachine): Unfinished | null {
  for (const { content } of machine.notes.all) {
    if (content.of !== 'snapshot') continue;
    const { jobId, snapshot: plan } = content.text;
    return { jobId, plan, overlays: overlaysOf(machine, jobId, plan.disks) };
  }
  return null;
}

export function assertNoUnfinishedRevert({ notes }: SimulatedMachine): void {
  const open = notes.reverts().find(({ state }) => ['begun', 'undoing'].includes(state.phase));
  if (open) throw refuse('other-operation', `a revert is unfinished: ${open.jobId}`);
}

function planOf(machine: SimulatedMachine, input: CreateSnapshotInput): SnapshotPlan {
  const snapshot = input.name ?? 'unnamed';
  if (machine.tree.find(snapshot)) throw refuse('snapshot-exists', `${snapshot} is listed`);
  const isChosen = ({ disk }: SimulatedVm) =>
    !input.exclude.includes(disk) && (input.disks.length === 0 || input.disks.includes(disk));
  const chosen = machine.disks.filter(isChosen);
  for (const vm of chosen) assertReady(vm);
  const disks = chosen.map((vm) => toOverlay(vm, vm.chain, snapshot));
  assertNamesFree(machine, disks);
  return {
    vm: machine.name as SnapshotPlan['vm'],
    vmUuid: machine.uuid as SnapshotPlan['vmUuid'],
    host: input.host,
    persistent: true,
    running: machine.state !== 'off',
    snapshot: snapshot as SnapshotPlan['snapshot'],
    description: input.description,
    createdAt: Math.floor(machine.now() / 1000),
    quiesce: input.quiesce,
    disks,
    left: machine.disks.flatMap((vm) =>
      isChosen(vm) ? [] : [{ disk: vm.disk, why: 'it was not asked for' }],
    ),
    warnings: [],
  };
}

export function assertNamesFree(machine: SimulatedMachine, disks: readonly PlannedDisk[]): void {
  for (const { disk, to, name } of disks) {
    const path = `${to.folder}/${name}`;
    if (machine.disk(disk).files.has(path)) throw refuse('name-taken', `${path} exists`);
  }
}

/** What must hold of a disk before its active layer is left. */
export function assertReady(vm: SimulatedVm): void {
  vm.advance();
  if (vm.record) throw refuse('other-operation', `job ${vm.record.jobId} is unfinished here`);
  if (vm.job) throw refuse('foreign-job', `${vm.slug} has a block job`);
  const differ = disagreementOf(vm);
  if (differ !== null) throw holdFor('divergent-chain', differ);
  const gone = vm.paths().find((path) => !vm.files.has(path));
  if (gone !== undefined) throw refuse('broken-chain', `${gone} does not exist`);
}

export const targetOf = (path: string) => {
  const pool = path.split('/')[1] ?? '';
  return { pool, folder: `/${pool}`, identity: '7:0' };
};

export function toOverlay(vm: SimulatedVm, chain: readonly Volume[], ending: string): PlannedDisk {
  const base = chain.at(-1) as Volume;
  const { path, identity } = base;
  const to = targetOf(path);
  return {
    disk: vm.disk as PlannedDisk['disk'],
    base: { path, pool: to.pool, identity: vm.files.identity(path) ?? identity },
    baseFormat: 'qcow2',
    virtualSizeBytes: base.virtualSizeBytes,
    clusterBytes: null,
    extendedL2: false,
    to,
    name: overlayName(fileName(path), ending),
    backingName: path,
  };
}

const eachDisk = (machine: SimulatedMachine, { plan, overlays }: Taking) =>
  plan.disks.map(({ disk, base }) => ({
    vm: machine.disk(disk),
    base,
    overlay: overlays.find((one) => one.disk === disk)?.volume ?? null,
  }));

function viewsOf(machine: SimulatedMachine, taking: Taking): DiskViews[] {
  return eachDisk(machine, taking).map(({ vm, base, overlay }) => {
    const layerIn = (chain: readonly Volume[]): Layer => {
      const identity = vm.files.identity(chain.at(-1)?.path ?? '');
      if (identity === base.identity) return 'base';
      const has = chain.some((volume) => volume.identity === overlay?.identity);
      return has ? 'overlay' : 'other';
    };
    const isOff = machine.state === 'off';
    const written = (vm.unseen ?? vm.live).at(-1)?.identity;
    return {
      disk: vm.disk,
      live: isOff ? null : layerIn(vm.live),
      recorded: layerIn(vm.persistent),
      written: isOff
        ? null
        : written === base.identity
          ? 'base'
          : written === overlay?.identity
            ? 'overlay'
            : 'other',
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
