/** A move that is under way and does not end by itself within a test. */
import { basename, join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { observeEvents } from '../../../../activities/orchestrator/observe-events.ts';
import { SLOW } from '../copying.ts';
import type { AuditEvent } from '../../../../workflows/operation/audit/audit.ts';
import { copiers, defineOff, digests, diskOf, partBytes, startMove } from './move-scene.ts';
import type { System } from '../../host/system.ts';
import { waitUntil } from '../../wait-until.ts';
import { untilStatus } from '../until-status.ts';

const MIB = 2 ** 20;
const BYTES = 24 * MIB;

/**
 * Copies 24 MiB by default, of which QEMU's first buffer, 16 MiB, knows no limit; returns when
 * some of it is there. It waits for minutes to write the rest, unless the limit is another.
 */
export async function slowMove(
  system: System,
  vm: string,
  bandwidthBytesPerSecond = SLOW,
  bytes = BYTES,
) {
  const file = await defineOff(system, vm, { bytes });
  const before = await digests([file]);
  const move = await startMove(system, { image: diskOf(vm), bandwidthBytesPerSecond });
  await untilStatus(move, 'to copy', ({ phase }) => phase === 'copying');
  const isCopying = async () => (await partBytes(system, basename(file))) > 0;
  await waitUntil(`the copy of ${vm}`, isCopying);
  const [daemon = 0] = await copiers(system);
  return { file, before, move, daemon, bytes };
}

/** Removes the limit, once there is a copy that has one. */
export const unlimit = (move: WorkflowHandle): Promise<void> => limit(move, 0);

export async function limit(move: WorkflowHandle, bytesPerSecond: number): Promise<void> {
  await move.executeUpdate('bandwidth', { args: [bytesPerSecond] });
}

/** The audit events of a workflow, oldest first. */
export async function eventsOf({ stateDir }: System, workflowId: string): Promise<AuditEvent[]> {
  const readOnly = () => Promise.reject(new Error('reads only'));
  const deps = { folder: join(stateDir, 'events'), effect: readOnly };
  const events = await observeEvents(deps, { limit: 1000 });
  return events.filter((event) => event.workflowId === workflowId);
}
