/** A move that stands still at an effect when its cancel is asked for. */
import { expect } from '@jest/globals';
import { agentOf, armFault, isArmed, type Fault } from './faults.ts';
import { defineOff, digests, diskOf, startMove } from './move-scene.ts';
import type { System } from './system.ts';
import { waitUntil } from './wait-until.ts';

interface Moment {
  effect: Fault['effect'];
  action: Fault['action'];
  /** What happens before its agent goes on; it may arm the next fault. */
  meanwhile?: () => Promise<unknown>;
}

export async function cancelledAt(system: System, vm: string, { meanwhile, ...at }: Moment) {
  const file = await defineOff(system, vm, { bytes: 2 ** 20 });
  const before = await digests([file]);
  armFault(system.trace, at);
  const move = await startMove(system, { image: diskOf(vm) });
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
  return { vm, file, before, move };
}
