/**
 * The agents' activities over VMs in memory: same contract, same answers as the real ones give, no
 * outside.
 */
import { basename } from 'node:path';
import { Context } from '@temporalio/activity';
import { recordOf } from '../../activities/host/ensure-job-recorded.ts';
import type { ColdOutcome, HostActivities, JobInput } from '../../workflows/contract.ts';
import type { StorageActivities } from '../../workflows/contract.ts';
import { hold, refused } from '../../workflows/failures.ts';
import type { MergePlan } from '../../workflows/schemas.ts';
import { jobOf, observation, planOf } from './simulated-plan.ts';
import { commitCold, giveBackGuest, passStrike, pivot } from './simulated-switch.ts';
import { switchCold, topHasLeft, topModified } from './simulated-switch.ts';
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

/**
 * Waits, beating, until `look` gives an answer; a cancel ends the wait, as in the real activities.
 */
async function until<T>(vm: SimulatedVm, look: () => T | null): Promise<T> {
  for (;;) {
    vm.advance();
    passStrike(vm);
    const answer = look();
    if (answer !== null) return answer;
    vm.idleLooks++;
    Context.current().heartbeat({ copiedBytes: vm.job?.copiedBytes ?? 0 });
    await sleep();
  }
}

export const simulated: Implementations = {
  observePresence: () => Promise.resolve(),
  observeChain: (vm, ref) => observation(vm, ref),
  observeMergePlan: (vm, input) => planOf(vm, input),
  awaitDiskIdle: (vm) => until(vm, () => (vm.job ? null : undefined)),
  awaitSpace: (vm, { neededBytes }) =>
    until(vm, () => (vm.freeBytes < neededBytes ? null : undefined)),
  ensureJobRecorded(vm, input) {
    giveBackGuest(vm);
    vm.record = recordOf(input, input.phase);
    vm.effects.push('record');
  },
  ensureCommitStarted(vm, { plan, bandwidthBytesPerSecond }) {
    vm.advance();
    if (topHasLeft(vm, plan)) return { outcome: 'finished', reason: 'top has left the chain' };
    if (vm.state === 'off') return { outcome: 'vm-stopped', reason: vm.machine.stateReason };
    if (vm.commitRefusal) return { outcome: 'failed', reason: vm.commitRefusal };
    if (vm.job && !vm.isOurs(plan)) return { outcome: 'busy', reason: 'a foreign job' };
    if (!vm.job) {
      vm.startJob(plan, bandwidthBytesPerSecond);
      vm.effects.push('start');
    }
    return { outcome: 'started', reason: 'started' };
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
  ensureColdCommitted: (vm, { plan }) => coldCommit(vm, plan),
  ensureColdSwitched: (vm, input) => noted(vm, switchCold(vm, input)),
  observeMergeProof(vm, { plan }) {
    const stays = [...vm.paths(), ...vm.persistentPaths()].includes(plan.top.path);
    if (stays) {
      throw hold('unproven', { attempted: 'proving', now: 'top is there', next: 'Look' });
    }
    for (const { path } of plan.committed) vm.proven.add(path);
    vm.effects.push('prove');
    return { chainAfter: vm.paths(), guest: vm.state };
  },
  ensureSnapshotRecords(vm) {
    vm.snapshots = [];
    vm.effects.push('snapshot-records');
  },
  ensureJobForgotten(vm) {
    vm.record = null;
    vm.suspendedGuest = false;
    vm.effects.push('forget');
  },
  ensureVolumesAbsent(vm, { jobId, volumes }) {
    const paths = volumes.map(({ path }) => path);
    let regainedBytes = 0;
    for (const path of paths) {
      regainedBytes += bury(vm, path, `/images/.blockflow/${jobId}-${basename(path)}`);
    }
    vm.effects.push('delete');
    return { deleted: paths, regainedBytes };
  },
};

function noted<T extends { outcome: string }>(vm: SimulatedVm, result: T): T {
  vm.switchRefused ||= !['pivoted', 'committed'].includes(result.outcome);
  return result;
}

/** A rename, then the deletion; what must not be deleted is a violation, whatever comes after. */
function bury(vm: SimulatedVm, path: string, tomb: string): number {
  if (vm.files.has(path)) {
    const used = [...vm.paths(), ...vm.persistentPaths()].includes(path);
    if (!vm.proven.has(path)) vm.violations.push(`${path} is deleted and was not proven unused`);
    if (used) vm.violations.push(`${path} is deleted and is in the chain`);
    if (used) {
      const now = `${path} is opened; it is kept`;
      throw hold('unproven', { attempted: 'deleting', now, next: 'Look' });
    }
    vm.files.delete(path);
    vm.files.add(tomb);
    passStrike(vm);
  }
  if (!vm.files.delete(tomb)) return 0;
  vm.content.remove(path);
  return 1048576;
}

/** qemu-img goes on when the agent dies; the next attempt follows it. */
async function coldCommit(vm: SimulatedVm, plan: MergePlan): Promise<ColdOutcome> {
  if (topHasLeft(vm, plan)) return { outcome: 'committed', topModifiedNs: topModified(vm, plan) };
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
