/** A running guest that writes to several disks in order, which move together. */
import { basename, join } from 'node:path';
import type { MoveDisksResult } from '../../../../workflows/transfer/disks/kind.ts';
import {
  moveDisksInput,
  type MoveDisksRequest,
} from '../../../../workflows/transfer/disks/request.ts';
import type { OperationStatus } from '../../../../workflows/kinds.ts';
import { ORCHESTRATOR_QUEUE } from '../../../../workflows/operation/contract.ts';
import { growOverlay } from '../../guest/disks/snapshots.ts';
import type { Guest } from '../../guest/guest.ts';
import { HOST, type System } from '../../host/system.ts';
import { VAULT, type Handle } from './image-operations.ts';
import { OWN_FOLDER } from '../../../../activities/pool-folder/own-folder.ts';
import { POOL } from '../merge-scene.ts';
import { poolFiles } from '../pool-files.ts';
import { defineSeveralDisks, sourcesOf } from '../snapshot-scene.ts';
import { untilStatus } from '../until-status.ts';

/** Of a loaded test machine, on which one disk takes longer than the default allows for all. */
const PATIENT_MS = 20_000;

const MIB = 2 ** 20;

export interface DisksScene {
  system: System;
  guest: Guest;
  /** By target, where they are before, and in the vault. */
  disks: Record<string, string>;
  moved: Record<string, string>;
  /** Of all its volumes in either pool, sorted. */
  names: string[];
  /** Files of blockflow that a failed test has left in the pools. */
  leftovers: readonly string[];
}

interface Wanted {
  count?: number;
  running?: boolean;
  acks?: number;
  /** That each disk holds besides what the guest writes. */
  bytes?: number;
  /** Of all disks, taken while the guest runs: each has one volume more than that. */
  snapshots?: readonly string[];
}

export async function startDisks(
  system: System,
  vm: string,
  { count = 2, running = true, acks = 20, bytes = 0, snapshots = [] }: Wanted = {},
): Promise<DisksScene> {
  const leftovers = await ownFiles(system);
  const size = bytes > 0 ? { virtualSizeBytes: 2 * bytes + 32 * MIB } : {};
  const { guest, disks: bases } = await defineSeveralDisks(system, vm, count, size);
  if (bytes > 0) for (const disk of guest.disks) await growOverlay(disk, { bytes });
  await guest.start();
  await guest.waitForAcks(acks);
  let disks = bases;
  const paths = new Set(Object.values(bases));
  for (const snapshot of snapshots) {
    await system.host.virsh('snapshot-create-as', vm, snapshot, '--disk-only', '--atomic');
    await guest.waitForAcks(acks);
    disks = await sourcesOf(system, vm, '--inactive');
    for (const path of Object.values(disks)) paths.add(path);
  }
  if (!running) await guest.kill();
  const vault = join(system.host.pools, VAULT);
  const moved = Object.fromEntries(
    Object.entries(disks).map(([disk, path]) => [disk, join(vault, basename(path))]),
  );
  const names = [...paths].map((path) => basename(path)).sort();
  return { system, guest, disks, moved, names, leftovers };
}

/** What blockflow keeps in the two pools. */
async function ownFiles({ host }: System): Promise<string[]> {
  const pools = await Promise.all([POOL, VAULT].map((pool) => poolFiles(join(host.pools, pool))));
  return pools.flat().filter((name) => name.startsWith(OWN_FOLDER));
}

export type DisksHandle = Handle<MoveDisksResult>;

/** Starts it as the client library does. */
export function startDisksMove(
  { system, guest }: Pick<DisksScene, 'system' | 'guest'>,
  more: Partial<MoveDisksRequest> = {},
  client: System['client'] = system.client,
): Promise<DisksHandle> {
  const asked = { vm: guest.name, host: HOST, to: VAULT, maxPauseMs: PATIENT_MS, ...more };
  const input = moveDisksInput.parse(asked);
  return client.workflow.start<(input: unknown) => Promise<MoveDisksResult>>('MoveDisks', {
    workflowId: input.vm,
    taskQueue: ORCHESTRATOR_QUEUE,
    args: [input],
  });
}

/** Waits until the status of an operation satisfies `look`. */
export async function untilDisks(
  handle: DisksHandle,
  what: string,
  look: (status: Extract<OperationStatus, { operation: 'MoveDisks' }>) => boolean,
): Promise<void> {
  const isThere = (status: OperationStatus) => status.operation === 'MoveDisks' && look(status);
  await untilStatus(handle, what, isThere, 120_000);
}
