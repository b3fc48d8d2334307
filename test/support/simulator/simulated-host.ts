/**
 * The agents' activities over VMs in memory: same contract, same answers as the real ones give, no
 * outside.
 */
import { Context, activityInfo } from '@temporalio/activity';
import { recordOf } from '../../../activities/host/merge/job-record.ts';
import type { ColdOutcome, JobInput } from '../../../workflows/merge/activities.ts';
import type { HostActivities } from '../../../activities/host/index.ts';
import type { StorageActivities } from '../../../activities/storage/index.ts';
import { hold, refused } from '../../../workflows/operation/failures.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import { bury, quarantineAll } from './simulated-deletion.ts';
import { imageHost } from './simulated-image-host.ts';
import { imageStorage } from './simulated-image-storage.ts';
import { isLocked, isThere } from './simulated-images.ts';
import { mirrorHost, mirrorStorage } from './live/simulated-mirror.ts';
import { jobOf, mergedBy, observation, planOf } from './simulated-plan.ts';
import {
  commitCold,
  giveBackGuest,
  passStrike,
  pivot,
  again,
  switchCold,
  topHasLeft,
  topModified,
} from './simulated-switch.ts';
import type { SimulatedVm } from './simulated-vm.ts';
import { snapshotHost } from './snapshots/simulated-creation.ts';
import { insideHost } from './snapshots/simulated-inside.ts';
import { overlayStorage } from './snapshots/simulated-overlays.ts';
import { revertHost } from './snapshots/simulated-revert.ts';
import { snapshotDeletionHost } from './snapshots/simulated-snapshot-deletion.ts';
import { until, type Implementations } from './simulated-waits.ts';

/**
 * What is met on real hosts only: conversions, mirrors of several disks and those that are kept,
 * and several hosts.
 */
export type RealOnly =
  | 'ensureVolumeCreated'
  | 'ensureMirrorsSwitched'
  | 'observeDisks'
  | 'ensureMirrorKept'
  | 'observeLeases'
  | 'observeUses';
/** What the workflows' tests ask. */
export type AgentActivities = Omit<HostActivities & StorageActivities, RealOnly>;

export const simulated: Implementations<AgentActivities> = {
  ...imageHost,
  ...imageStorage,
  ...mirrorHost,
  ...mirrorStorage,
  ...snapshotHost,
  ...snapshotDeletionHost,
  ...revertHost,
  ...insideHost,
  ...overlayStorage,
  observePresence: () => Promise.resolve(),
  observeChain: (vm, ref) => observation(vm, ref),
  observeMergePlan: (vm, input) => planOf(vm, input),
  awaitDiskIdle: (vm) => until(vm, () => (vm.job || vm.mirror ? null : undefined)),
  awaitSpace: (vm, { neededBytes }) =>
    until(vm, () => (vm.freeBytes < neededBytes ? null : undefined)),
  ensureCommitStarted(vm, input) {
    const { plan, bandwidthBytesPerSecond } = input;
    recordJob(vm, input);
    vm.advance();
    if (topHasLeft(vm, plan)) return { outcome: 'finished', reason: 'top has left the chain' };
    if (vm.state === 'off') return { outcome: 'vm-stopped', reason: vm.machine.stateReason };
    if (vm.commitRefusal) return { outcome: 'failed', reason: vm.commitRefusal };
    if ((vm.job && !vm.isOurs(plan)) || vm.mirror)
      return { outcome: 'busy', reason: 'a foreign job' };
    if (!vm.job) {
      const held = heldByCopy(vm, plan);
      if (held) return held;
      vm.startJob(plan, bandwidthBytesPerSecond);
      vm.effects.push('start');
    }
    return { outcome: 'started', reason: 'started', readyAtMs: null };
  },
  ensureBandwidth(vm, { bandwidthBytesPerSecond }) {
    vm.advance();
    if (!vm.job || vm.job.mode === 'foreign') return null;
    vm.job.limit = bandwidthBytesPerSecond;
    vm.effects.push('limit');
    return { ...jobOf(vm), ready: false };
  },
  awaitCommitReady: (vm, { plan, until: end, tellConvergence }) =>
    until(vm, () => {
      if (topHasLeft(vm, plan)) return { outcome: 'finished' };
      if (vm.state === 'off') return { outcome: 'vm-stopped', reason: vm.machine.stateReason };
      if (!vm.job || !vm.isOurs(plan)) return { outcome: 'gone', reason: 'the job is gone' };
      if (end === 'ready' && vm.job.ready) return { outcome: 'ready', readyAtMs: Date.now() };
      const slow = vm.diverges && tellConvergence;
      return slow ? { outcome: 'not-converging', note: 'not converging: it writes faster' } : null;
    }),
  ensureCommitAborted: (vm, { plan, jobId }) => abort(vm, { plan, jobId }),
  ensurePivoted: (vm, input) => noted(vm, pivot(vm, input)),
  ensureColdCommitted(vm, input) {
    recordJob(vm, input);
    return coldCommit(vm, input.plan);
  },
  ensureColdSwitched: (vm, input) => noted(vm, switchCold(vm, input)),
  observeMergeProof(vm, { plan }) {
    const stays = [...vm.paths(), ...vm.persistentPaths()].includes(plan.top.path);
    if (stays) {
      throw hold('unproven', { attempted: 'proving', now: 'top is there', next: 'Look' });
    }
    const open = plan.committed.find(({ path }) => isThere(vm, path) && isLocked(vm, path));
    if (open) {
      const now = `some process still has ${open.path} open`;
      throw hold('unproven', { attempted: 'proving', now, next: 'Look' });
    }
    for (const { identity } of plan.committed) vm.proven.add(identity);
    vm.effects.push('prove');
    return { chainAfter: vm.paths(), guest: vm.state };
  },
  ensureSnapshotRecords(vm, { plan, changes }) {
    vm.snapshots = [];
    followMerge(vm, plan, changes);
    vm.effects.push('snapshot-records');
  },
  ensureJobForgotten(vm) {
    vm.record = null;
    vm.suspendedGuest = false;
    vm.effects.push('forget');
  },
  ensureVolumesAbsent(vm, { jobId, volumes }) {
    const deleted: string[] = [];
    let regainedBytes = 0;
    quarantineAll(vm, jobId, volumes);
    for (const volume of volumes.toReversed()) {
      const regained = bury(vm, volume, jobId);
      if (regained !== null) deleted.unshift(volume.path);
      regainedBytes += regained ?? 0;
    }
    vm.effects.push('delete');
    return { deleted, regainedBytes };
  },
};

/** What is there now decides, not what was there when the merge was planned. */
function followMerge(
  { machine: { tree }, disk, content }: SimulatedVm,
  plan: MergePlan,
  changes: readonly { name: string }[],
): void {
  const merged = mergedBy(disk, plan);
  for (const { name } of changes) {
    const point = tree.find(name);
    const action = point && tree.changeOf(point, merged);
    if (!point || !action) continue;
    for (const file of merged.gone) {
      if (point.domain.get(disk) === file) content.movePoint(file, merged.base);
    }
    if (action === 'delete') tree.forget(name);
    else tree.redefine(point, merged);
    passStrike();
  }
}

function recordJob(vm: SimulatedVm, input: JobInput): void {
  giveBackGuest(vm);
  vm.record = recordOf(input, 'commit');
  vm.effects.push('record');
}

function noted<T extends { outcome: string }>(vm: SimulatedVm, result: T): T {
  vm.switchRefused ||= !['pivoted', 'committed'].includes(result.outcome);
  return result;
}

/** Attempts before libvirt's words become the result. */
const PATIENCE = 6;

/** QEMU may not write to base while a copy holds it. */
function heldByCopy(vm: SimulatedVm, { base }: MergePlan) {
  if (!vm.images.isHeld(base.identity)) return null;
  const reason = `Failed to get "write" lock on ${base.path}`;
  if (activityInfo().attempt < PATIENCE) throw again(reason);
  return { outcome: 'failed', reason } as const;
}

/** qemu-img goes on when the agent dies; the next attempt follows it. */
async function coldCommit(vm: SimulatedVm, plan: MergePlan): Promise<ColdOutcome> {
  if (topHasLeft(vm, plan)) return { outcome: 'committed', topModifiedNs: topModified(vm, plan) };
  const held = [plan.top, ...plan.committed, plan.base].some((v) => vm.images.isHeld(v.identity));
  if (held && vm.state === 'off') {
    return { outcome: 'failed', reason: 'Failed to get "write" lock' };
  }
  if (vm.coldSinceMs === null) vm.effects.push('cold-commit');
  vm.coldSinceMs ??= vm.machine.now();
  const since = vm.coldSinceMs;
  try {
    return await until(vm, () => {
      const { state, machine } = vm;
      if (state !== 'off') return endCold(vm, 'vm-started', machine.stateReason);
      if (machine.now() - since < vm.copyMs) return null;
      commitCold(vm, plan);
      return { ...endCold(vm, 'committed', ''), topModifiedNs: topModified(vm, plan) };
    });
  } catch (error) {
    if (Context.current().cancellationSignal.aborted) vm.coldSinceMs = null;
    throw error;
  }
}

function endCold<T extends string>(vm: SimulatedVm, outcome: T, reason: string) {
  vm.coldSinceMs = null;
  return { outcome, reason };
}

function abort(vm: SimulatedVm, { plan, jobId }: JobInput) {
  giveBackGuest(vm);
  vm.advance();
  vm.coldSinceMs = null;
  if (vm.isOurs(plan) && vm.record?.jobId === jobId) vm.job = null;
  vm.effects.push('abort');
  return { outcome: topHasLeft(vm, plan) ? ('merged' as const) : ('unchanged' as const) };
}

/** For a name that no simulated VM has. */
export const unknownVm = (name: string) =>
  refused('unknown-vm', { attempted: `finding ${name}`, now: 'no such VM', next: 'virsh list' });
