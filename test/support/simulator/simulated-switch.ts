/**
 * The switches of the simulated host agent, with the moments at which a process may die in them.
 */
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost, ColdOutcome, JobInput } from '../../../workflows/merge/activities.ts';
import { AsyncLocalStorage } from 'node:async_hooks';
import { ApplicationFailure } from '@temporalio/common';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import type { SimulatedVm } from './simulated-vm.ts';

/** Who dies in the middle of an activity that has several steps, and at which of them. */
export type Strike = 'agent' | 'agent late' | 'agent last' | 'qemu' | 'libvirtd';

export const topHasLeft = (vm: SimulatedVm, plan: MergePlan) => !vm.paths().includes(plan.top.path);

/** What is tried again, but at once, not after seconds. */
export const again = (message: string) =>
  ApplicationFailure.create({ message, type: 'AgentDied', nextRetryDelay: 1 });

/** How the death of an agent looks to its workflow. */
export const agentDied = () => again('the agent died');

/** One attempt of an activity in a test that strikes at it. */
interface Attempt {
  /** Strikes once, where the activity can be struck so. */
  strike: Strike | null;
  /** A wait has looked, and found nothing to end it. */
  looked(): void;
}
export const attempts = new AsyncLocalStorage<Attempt>();

export function strikes(strike: Strike): boolean {
  const attempt = attempts.getStore();
  if (attempt?.strike !== strike) return false;
  attempt.strike = null;
  return true;
}

/** The agent dies here, when it was to die inside of an activity. */
export function passStrike(strike: Exclude<Strike, 'qemu' | 'libvirtd'> = 'agent'): void {
  if (strikes(strike)) throw agentDied();
}

/** I12: a guest that a dead agent's pivot suspended runs again, once its record is as QEMU is. */
export function giveBackGuest(vm: SimulatedVm): void {
  if (vm.state !== 'paused' || !vm.suspendedGuest) return;
  vm.recordLive();
  vm.state = 'running';
  vm.suspendedGuest = false;
}

/** Suspend, pivot, persistent XML, resume; the script dies with its agent, which is the worst. */
export function pivot(
  vm: SimulatedVm,
  { plan }: JobInput,
): ResultOf<typeof mergeOnHost, 'ensurePivoted'> {
  giveBackGuest(vm);
  vm.advance();
  const [top, base] = [plan.top.path, plan.base.path];
  if (!topHasLeft(vm, plan)) {
    if (vm.state === 'off') return { outcome: 'vm-stopped', reason: vm.machine.stateReason };
    if (!vm.isOurs(plan) || !vm.job?.ready) return { outcome: 'not-pivoted', reason: 'not READY' };
    if (vm.pivotsToRefuse-- > 0) return { outcome: 'not-pivoted', reason: 'QEMU refused' };
    vm.effects.push('pivot');
    if (vm.state === 'running') Object.assign(vm, { state: 'paused', suspendedGuest: true });
    passStrike();
    vm.switchLive(top, base);
    if (strikes('qemu')) {
      vm.stop('shut off (crashed)');
      return { outcome: 'vm-stopped', reason: vm.machine.stateReason };
    }
    vm.switchPersistent(top, base);
    passStrike('agent late');
    giveBackGuest(vm);
  }
  return { outcome: 'pivoted', stallMs: 12, pivotIssuedAtMs: Date.now() };
}

/** Stands for the modification time of top's file. */
export const topModified = (vm: SimulatedVm, plan: MergePlan) =>
  String(vm.content.layer(plan.top.path).writes);

/** What qemu-img has done when it is done. */
export function commitCold(vm: SimulatedVm, plan: MergePlan): void {
  const { content } = vm;
  const committed = plan.committed.map(({ path }) => path);
  const upTo = vm.paths().slice(0, vm.paths().indexOf(plan.top.path) + 1);
  content.copy(upTo, plan.base.path, content.blocksOf(committed));
  content.settle(plan.base.path);
}

export function switchCold(
  vm: SimulatedVm,
  { plan, topModifiedNs }: InputOf<typeof mergeOnHost, 'ensureColdSwitched'>,
): ColdOutcome {
  if (!topHasLeft(vm, plan)) {
    if (vm.state !== 'off') return { outcome: 'vm-started', reason: vm.machine.stateReason };
    if (topModifiedNs !== topModified(vm, plan)) {
      return { outcome: 'vm-started', reason: `${plan.top.path} was written since its commit` };
    }
    const { top, base, overlay } = plan;
    if (vm.images.isHeld(top.identity)) {
      return { outcome: 'vm-started', reason: `some process has ${top.path} open` };
    }
    if (overlay && vm.images.isHeld(overlay.identity)) throw again('Failed to get "write" lock');
    vm.switchPersistent(top.path, base.path);
    vm.effects.push('cold-switch');
    passStrike();
  }
  return { outcome: 'committed', topModifiedNs };
}
