/**
 * One strike of the crash matrix: while an effect stands still at a point, a process is killed or
 * frozen.
 */
import { expect } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { agentOf, armFault, disarmFault, isArmed } from './faults.ts';
import { isAlive, isPaused } from '../host/processes.ts';
import type { Strike, Victim } from './strike-list.ts';
import type { System } from '../host/system.ts';
import { waitUntil } from '../wait-until.ts';

/** How long a frozen process stands still; the one that holds the effect: till it is given up. */
const FREEZE_MS = 1500;

/** Plans the point at which the effect of the next operation stands still. */
export const armPoint = ({ trace }: System, { effect, point }: Strike) =>
  armFault(trace, { effect, action: `stop-${point}` });

/**
 * Waits for the point, and strikes. What was killed stays dead, except for Temporal's frozen
 * clients; `revive` heals.
 * @param vm whose QEMU may be the victim
 */
export async function strike(
  system: System,
  planned: Strike,
  operation: WorkflowHandle,
  vm: string,
): Promise<void> {
  const agent = agentOf(planned.effect);
  await system.roleStopped(agent);
  expect(isArmed(system.trace)).toBe(false);
  if (planned.victim === agent) await strikeAgent(system, planned, operation);
  else await strikeOther(system, planned, vm);
}

/** The process that holds the effect is struck itself. */
async function strikeAgent(
  system: System,
  planned: Strike,
  operation: WorkflowHandle,
): Promise<void> {
  const agent = agentOf(planned.effect);
  if (planned.strike === 'freeze') {
    if (agent === 'orchestrator') await frozen();
    // Temporal takes the frozen agent for dead: from then on two attempts may be at work.
    else await untilAttempt(2, operation);
    return system.signalRole(agent, 'SIGCONT');
  }
  const pid = system.rolePid(agent);
  await system.killRole(agent);
  expect(isAlive(pid)).toBe(false);
  if (planned.strike === 'kill') return;
  armFault(system.trace, { effect: `any of ${agent}`, action: 'kill-before' });
  await system.startRole(agent);
  // Recovery may find all done, and then needs no effect in which the agent could die.
  await Promise.race([system.roleEnded(agent), operation.result().catch(() => undefined)]);
  disarmFault(system.trace);
}

/** Another process is struck while the agent stands still, which then goes on. */
async function strikeOther(system: System, planned: Strike, vm: string): Promise<void> {
  const { victim } = planned;
  const pid = pidOf(system, victim, vm);
  const go = () => system.signalRole(agentOf(planned.effect), 'SIGCONT');
  // A VM that is down has no QEMU: the nearest thing is a short stop of the agent alone.
  if (pid === null) return go();
  if (planned.strike === 'kill') {
    if (victim === 'qemu') await system.host.killQemu(vm);
    else if (victim === 'libvirtd') await system.host.killLibvirtd();
    else if (victim === 'temporal') await system.killTemporal();
    else await system.killRole(victim);
    expect(isAlive(pid)).toBe(false);
    return go();
  }
  process.kill(pid, 'SIGSTOP');
  await waitUntil(`${victim} to stand still`, () => isPaused(pid));
  go();
  await frozen();
  process.kill(pid, 'SIGCONT');
}

function pidOf({ host, temporal, rolePid }: System, victim: Victim, vm: string): number | null {
  if (victim === 'libvirtd') return host.libvirtdPid();
  if (victim === 'temporal') return temporal.pid;
  if (victim !== 'qemu') return rolePid(victim);
  try {
    return host.qemuPid(vm);
  } catch {
    return null;
  }
}

/** The fault itself lasts so long; nothing is waited for here. */
const frozen = () => new Promise((resolve) => setTimeout(resolve, FREEZE_MS));

/** Waits until an activity of it, or of an operation that it waits for, is tried so many times. */
export async function untilAttempt(wanted: number, operation: WorkflowHandle): Promise<void> {
  await waitUntil(`attempt ${wanted} of an activity`, async () => {
    const attempts = await attemptsOf(operation);
    return attempts.some((attempt) => attempt >= wanted);
  });
}

async function attemptsOf(operation: WorkflowHandle): Promise<number[]> {
  const { raw } = await operation.describe();
  const children = await Promise.all(
    (raw.pendingChildren ?? []).map(({ workflowId, runId }) =>
      attemptsOf(operation.client.getHandle(workflowId ?? '', runId ?? '')),
    ),
  );
  return [...(raw.pendingActivities ?? []).map(({ attempt }) => attempt ?? 1), ...children.flat()];
}
