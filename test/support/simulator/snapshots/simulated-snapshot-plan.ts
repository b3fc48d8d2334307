/** What the simulated host agent plans for a snapshot, and what it refuses. */
import { overlayName } from '../../../../activities/host/snapshot/planning/overlays.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import {
  hold,
  refused,
  type HoldCode,
  type RefusalCode,
} from '../../../../workflows/operation/failures.ts';
import { fileName } from '../../../../workflows/operation/words.ts';
import type {
  PlannedDisk,
  SnapshotPlan,
  Unfinished,
} from '../../../../workflows/snapshot/create/plan.ts';
import type { CreateSnapshotInput } from '../../../../workflows/snapshot/create/request.ts';
import type { SimulatedMachine } from '../simulated-machine.ts';
import { disagreementOf } from '../simulated-plan.ts';
import type { SimulatedVm } from '../simulated-vm.ts';
import { overlaysOf } from './simulated-notes.ts';

const words = (now: string) => ({ attempted: 'a snapshot', now, next: 'Fix it' });
export const refuse = (code: RefusalCode, now: string) => refused(code, words(now));
export const holdFor = (code: HoldCode, now: string) => hold(code, words(now));

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

export function planOf(machine: SimulatedMachine, input: CreateSnapshotInput): SnapshotPlan {
  const snapshot = input.name ?? 'unnamed';
  if (machine.tree.find(snapshot)) throw refuse('snapshot-exists', `${snapshot} is listed`);
  const isChosen = ({ disk }: SimulatedVm) =>
    !input.exclude.includes(disk) && (input.disks.length === 0 || input.disks.includes(disk));
  const chosen = machine.disks.filter(isChosen);
  for (const vm of chosen) assertReady(vm);
  const disks = chosen.map((vm) => toOverlay(vm, vm.chain, snapshot));
  assertNamesFree(machine, disks);
  return {
    vm: machine.name,
    vmUuid: machine.uuid,
    host: input.host,
    persistent: true,
    running: machine.state !== 'off',
    snapshot: snapshot,
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
    disk: vm.disk,
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
