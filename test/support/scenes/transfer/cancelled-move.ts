/** A move that stands still at an effect when its cancel is asked for. */
import { expect } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { agentOf, armFault, isArmed, type Fault } from '../../faults/faults.ts';
import { defineOff, digests, diskOf, startMove } from './move-scene.ts';
import type { System } from '../../host/system.ts';
import { waitUntil } from '../../wait-until.ts';

interface Moment {
  effect: Fault['effect'];
  action: Fault['action'];
  /** What happens before its agent goes on; it may arm the next fault. */
  meanwhile?: () => unknown;
}

export async function cancelAt<T extends WorkflowHandle>(
  system: System,
  start: () => Promise<T>,
  { meanwhile, ...at }: Moment,
): Promise<T> {
  armFault(system.trace, at);
  const move = await start();
  const agent = agentOf(at.effect);
  await system.roleStopped(agent);
  expect(isArmed(system.trace)).toBe(false);
  await move.cancel();
  await waitUntil('the cancel to be there', async () => {
    const { events } = await move.fetchHistory();
    return events?.some((event) => event.workflowExecutionCancelRequestedEventAttributes);
  });
  await meanwhile?.();
  system.signalRole(agent, 'SIGCONT');
  return move;
}

/** As above, of a new VM with 1 MiB of data. */
export async function cancelledAt(system: System, vm: string, moment: Moment) {
  const file = await defineOff(system, vm, { bytes: 2 ** 20 });
  const before = await digests([file]);
  const move = await cancelAt(system, () => startMove(system, { image: diskOf(vm) }), moment);
  return { vm, file, before, move };
}
