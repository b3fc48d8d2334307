/** What the runs of operations on images are recorded with. */
import { join } from 'node:path';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { statusQuery, type Phase } from '../../workflows/kinds.ts';
import {
  defineOff,
  diskOf,
  startCopy,
  startMove,
  VAULT,
} from '../support/scenes/transfer/image-operations.ts';
import { POOL } from '../support/scenes/merge-scene.ts';
import type { System } from '../support/host/system.ts';
import { waitUntil } from '../support/wait-until.ts';

export interface Stage {
  system: System;
  client: Client;
  vm: string;
  /** The folder that the target pool's file system is mounted at. */
  vault: string;
}
export type Run = (stage: Stage) => Promise<WorkflowHandle>;

export const MIB = 2 ** 20;

export const inPhase = (operation: WorkflowHandle, phase: Phase) =>
  waitUntil(`phase ${phase}`, async () => (await operation.query(statusQuery)).phase === phase);

interface Slow {
  image: ReturnType<typeof diskOf>;
  bandwidthBytesPerSecond: number;
}

/** Copies, and will for a while. */
async function slowly<T extends WorkflowHandle>(
  { system, vm }: Stage,
  start: (request: Slow) => Promise<T>,
): Promise<T> {
  await defineOff(system, vm, { bytes: 32 * MIB });
  const operation = await start({ image: diskOf(vm), bandwidthBytesPerSecond: MIB });
  await inPhase(operation, 'copying');
  return operation;
}
export const moving = (stage: Stage) => slowly(stage, (request) => startMove(stage, request));
export const copying = (stage: Stage) =>
  slowly(stage, (request) => startCopy(stage, { to: VAULT, ...request }));

/** Once the copy is there, and its agent with it: before, there is nothing whose limit is set. */
export const unlimit = (operation: WorkflowHandle) =>
  waitUntil('the limit to go', () =>
    operation.executeUpdate('bandwidth', { args: [0] }).then(() => true),
  );

/** The source of a run's move. */
export const sourceOf = ({ system, vm }: Stage) => join(system.host.pools, POOL, `${vm}.qcow2`);
/** Where its copy is to be. */
export const targetOf = ({ vault, vm }: Stage) => join(vault, `${vm}.qcow2`);
