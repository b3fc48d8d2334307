/** A VM with two disks that is down, with a snapshot to go back to. */
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { ORCHESTRATOR_QUEUE } from '../../../workflows/operation/contract.ts';
import type { RevertSnapshotResult } from '../../../workflows/snapshot/revert/kind.ts';
import {
  revertSnapshotInput,
  type RevertSnapshotRequest,
} from '../../../workflows/snapshot/revert/request.ts';
import { HOST, type System } from '../host/system.ts';
import { POOL } from './merge-scene.ts';
import { poolFiles } from './pool-files.ts';
import { defineSeveralDisks, takeSnapshot, type SeveralDisks } from './snapshot-scene.ts';

export type Revert = WorkflowHandle<(input: unknown) => Promise<RevertSnapshotResult>>;

/** Starts it as the client library does. */
export function startRevert(
  { client }: Pick<System, 'client'>,
  request: Omit<RevertSnapshotRequest, 'host'>,
): Promise<Revert> {
  const input = revertSnapshotInput.parse({ ...request, host: HOST });
  return client.workflow.start<(input: unknown) => Promise<RevertSnapshotResult>>(
    'RevertSnapshot',
    { workflowId: input.vm, taskQueue: ORCHESTRATOR_QUEUE, args: [input] },
  );
}

export const revertTo = async (
  system: Pick<System, 'client'>,
  request: Omit<RevertSnapshotRequest, 'host'>,
) => (await startRevert(system, request)).result();

/** The guest has written, was stopped, and snapshot s1 was taken. */
export async function defineWithSnapshot(
  system: System,
  vm: string,
  writes = 20,
): Promise<SeveralDisks> {
  const scene = await defineSeveralDisks(system, vm, 2);
  const { guest } = scene;
  await guest.start(60_000);
  await guest.waitForAcks(writes);
  await guest.kill();
  await takeSnapshot(system, { vm, name: 's1' });
  return scene;
}

/** Names of a VM's files in the pool, and of what is in `.blockflow/` there, without its id. */
export async function ownFiles(system: System, vm: string): Promise<string[]> {
  const files = await poolFiles(join(system.host.pools, POOL));
  return files.filter((file) => file.includes(`${vm}.`) || file.includes(`${vm}-`)).sort();
}
