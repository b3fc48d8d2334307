/**
 * The agents' activities over VMs in memory: same contract, same answers as the real ones give, no
 * outside.
 */
import { Context } from '@temporalio/activity';
import { selectVolumes } from '../../activities/host/merge-selection.ts';
import { recordOf } from '../../activities/host/ensure-job-recorded.ts';
import type { HostActivities, JobInput, StorageActivities } from '../../workflows/contract.ts';
import { bug, hold, refused } from '../../workflows/failures.ts';
import type { DiskRef, LiveMergeInput, MergePlan } from '../../workflows/schemas.ts';
import type { PlanOutcome, Volume } from '../../workflows/schemas.ts';
import type { SimulatedVm } from './simulated-vm.ts';

export type AgentActivities = HostActivities & StorageActivities;
type Implementation<I, O> = (vm: SimulatedVm, input: I) => O | Promise<O>;
type Implementations = {
  [K in keyof AgentActivities]: Implementation<
    Parameters<AgentActivities[K]>[0],
    Awaited<ReturnType<AgentActivities[K]>>
  >;
};

const TICK_MS = 5;
const sleep = () => Context.current().sleep(TICK_MS);
const topHasLeft = (vm: SimulatedVm, plan: MergePlan) => !vm.paths().includes(plan.top.path);

/**
 * Waits, beating, until `look` gives an answer; a cancel ends the wait, as in the real activities.
 */
async function until<T>(vm: SimulatedVm, look: () => T | null): Promise<T> {
  for (;;) {
    vm.advance();
    const answer = look();
    if (answer !== null) return answer;
    Context.current().heartbeat({ copiedBytes: vm.job?.copiedBytes ?? 0 });
    await sleep();
  }
}

function planOf(vm: SimulatedVm, input: LiveMergeInput): PlanOutcome {
  vm.advance();
  const { chain, record, job } = vm;
  if (vm.disagreement) {
    throw hold('divergent-chain', { attempted: 'planning', now: vm.disagreement, next: 'Compare' });
  }
  if (record && !job && !vm.paths().includes(record.top)) return leftOver(vm, input);
  const selection = selectVolumes(input, chain, input.snapshot && vm.path(1));
  if (!selection) return { kind: 'done', chain, reason: 'the disk is a single volume' };
  const { top, base, committed, overlay } = selection;
  if (job && !(record?.top === top.path && record.base === base.path)) {
    const said = { type: 'Block Copy', bandwidthBytesPerSecond: 0, ready: false };
    const { copiedBytes, totalBytes } = job;
    return { kind: 'busy', job: { ...said, copiedBytes, totalBytes }, reason: 'a foreign job' };
  }
  const neededBytes = committed.length * 1048576;
  const { freeBytes } = vm;
  if (!job && neededBytes > freeBytes) {
    return { kind: 'no-space', path: base.path, neededBytes, freeBytes };
  }
  const kept = input.keepOverlay || input.keepVolumes;
  return {
    kind: 'plan',
    plan: {
      ...{ vm: vm.name, vmUuid: vm.uuid, disk: input.disk, host: input.host, persistent: true },
      mode: vm.state === 'off' ? 'cold' : overlay ? 'inner' : 'active',
      ...{ adopted: record, alreadyMerged: false, chainBefore: chain },
      ...{ top, base, overlay, committed },
      deletes: kept ? [] : committed.map(named),
      snapshots: kept ? [] : vm.snapshots,
      ...{ spaceNeededBytes: neededBytes, spaceFreeBytes: freeBytes },
    },
  };
}

const named = ({ path, identity }: Volume) => ({ path, identity, pool: 'images' });

/** What an earlier run switched and did not delete. */
function leftOver(vm: SimulatedVm, input: LiveMergeInput): PlanOutcome {
  const record = vm.record as NonNullable<typeof vm.record>;
  const base = vm.chain.find(({ path }) => path === record.base);
  if (!base) throw bug('the record names no base of the chain');
  const top = { ...base, path: record.top };
  const same = { vm: vm.name, vmUuid: vm.uuid, disk: input.disk, host: input.host, base, top };
  const found = { adopted: record, alreadyMerged: true, chainBefore: vm.chain, overlay: null };
  const left = { committed: [top], deletes: record.deletes, snapshots: [], persistent: true };
  const space = { spaceNeededBytes: 0, spaceFreeBytes: vm.freeBytes };
  return { kind: 'plan', plan: { ...same, ...found, ...left, ...space, mode: record.mode } };
}

function observation(vm: SimulatedVm, { disk, host }: DiskRef) {
  const paths = vm.paths();
  const { name, uuid, state, stateReason, chain: volumes, record } = vm;
  return {
    vm: { name, uuid, state, stateReason, persistent: true },
    ...{ disk, host, readOnly: false, transient: false, volumes, record, job: null },
    views: { live: paths, persistent: paths, headers: paths, open: paths },
    disagreements: [],
  };
}

export const simulated: Implementations = {
  observePresence: () => Promise.resolve(),
  observeChain: (vm, ref) => observation(vm, ref),
  observeMergePlan: (vm, input) => planOf(vm, input),
  awaitDiskIdle: (vm) => until(vm, () => (vm.job ? null : undefined)),
  awaitSpace: (vm, { neededBytes }) =>
    until(vm, () => (vm.freeBytes < neededBytes ? null : undefined)),
  ensureJobRecorded(vm, input) {
    vm.record = recordOf(input, input.phase);
    vm.effects.push('record');
  },
  ensureCommitStarted(vm, { plan, bandwidthBytesPerSecond }) {
    vm.advance();
    if (topHasLeft(vm, plan)) return { outcome: 'finished', reason: 'top has left the chain' };
    if (vm.state === 'off') return { outcome: 'vm-stopped', reason: vm.stateReason };
    if (vm.commitRefusal) return { outcome: 'failed', reason: vm.commitRefusal };
    if (!vm.job) {
      vm.startJob(plan, bandwidthBytesPerSecond);
      vm.effects.push('start');
    }
    return { outcome: 'started', reason: 'started' };
  },
  ensureBandwidth(vm, { bandwidthBytesPerSecond }) {
    vm.advance();
    if (!vm.job) return null;
    vm.job.limit = bandwidthBytesPerSecond;
    vm.effects.push('limit');
    const { copiedBytes, totalBytes } = vm.job;
    const type = 'Active Block Commit';
    return { type, copiedBytes, totalBytes, bandwidthBytesPerSecond, ready: false };
  },
  awaitCommitReady: (vm, { plan, until: end, tellConvergence }) =>
    until(vm, () => {
      if (topHasLeft(vm, plan)) return { outcome: 'finished' };
      if (vm.state === 'off') return { outcome: 'vm-stopped', reason: vm.stateReason };
      if (!vm.job) return { outcome: 'gone', reason: 'the job is gone' };
      if (end === 'ready' && vm.job.ready) return { outcome: 'ready', readyAtMs: Date.now() };
      const slow = vm.diverges && tellConvergence;
      return slow ? { outcome: 'not-converging', note: 'not converging: it writes faster' } : null;
    }),
  ensureCommitAborted: (vm, { plan, jobId }) => abort(vm, { plan, jobId }),
  ensurePivoted(vm, { plan }) {
    vm.advance();
    if (!topHasLeft(vm, plan)) {
      if (vm.state === 'off') return { outcome: 'vm-stopped', reason: vm.stateReason };
      if (!vm.job?.ready) return { outcome: 'not-pivoted', reason: 'not READY (any more)' };
      if (vm.pivotsToRefuse-- > 0) return { outcome: 'not-pivoted', reason: 'QEMU refused' };
      vm.switchChain(plan.top.path, plan.base.path);
      vm.effects.push('pivot');
    }
    return { outcome: 'pivoted', stallMs: 12, pivotIssuedAtMs: Date.now() };
  },
  async ensureColdCommitted(vm) {
    const from = Date.now();
    vm.effects.push('cold-commit');
    return until(vm, () => {
      if (vm.state !== 'off') return { outcome: 'vm-started', reason: vm.stateReason };
      return Date.now() - from < vm.copyMs ? null : { outcome: 'committed', topModifiedNs: '1' };
    });
  },
  ensureColdSwitched(vm, { plan }) {
    if (vm.state !== 'off') return { outcome: 'vm-started', reason: vm.stateReason };
    if (!topHasLeft(vm, plan)) vm.switchChain(plan.top.path, plan.base.path);
    vm.effects.push('cold-switch');
    return { outcome: 'committed', topModifiedNs: '1' };
  },
  observeMergeProof(vm, { plan }) {
    if (!topHasLeft(vm, plan)) {
      throw hold('unproven', { attempted: 'proving', now: 'top is there', next: 'Look' });
    }
    vm.effects.push('prove');
    return { chainAfter: vm.paths(), guest: vm.state };
  },
  ensureSnapshotRecords(vm) {
    vm.snapshots = [];
    vm.effects.push('snapshot-records');
  },
  ensureJobForgotten(vm) {
    vm.record = null;
    vm.effects.push('forget');
  },
  ensureVolumesAbsent(vm, { volumes }) {
    const paths = volumes.map(({ path }) => path);
    const used = paths.filter((path) => vm.paths().includes(path));
    if (used.length > 0) throw bug(`${used.join(', ')} was to be deleted and is in the chain`);
    for (const path of paths) vm.files.delete(path);
    vm.effects.push('delete');
    return { deleted: paths, regainedBytes: paths.length * 1048576 };
  },
};

function abort(vm: SimulatedVm, { plan, jobId }: JobInput) {
  vm.advance();
  if (vm.job && vm.record?.jobId === jobId) vm.job = null;
  vm.effects.push('abort');
  return { outcome: topHasLeft(vm, plan) ? ('merged' as const) : ('unchanged' as const) };
}

/** For a name that no simulated VM has. */
export const unknownVm = (name: string) =>
  refused('unknown-vm', { attempted: `finding ${name}`, now: 'no such VM', next: 'virsh list' });
