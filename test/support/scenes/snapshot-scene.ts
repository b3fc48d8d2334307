/** A VM with several disks in a pool of a whole system, to take snapshots of. */
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { ORCHESTRATOR_QUEUE } from '../../../workflows/operation/contract.ts';
import type { CreateSnapshotResult } from '../../../workflows/snapshot/create/kind.ts';
import {
  createSnapshotInput,
  type CreateSnapshotRequest,
} from '../../../workflows/snapshot/create/request.ts';
import type { DeleteSnapshotResult } from '../../../workflows/snapshot/delete/kind.ts';
import {
  deleteSnapshotInput,
  type DeleteSnapshotRequest,
} from '../../../workflows/snapshot/delete/request.ts';
import { createFurtherDisk, createGuestDisk, type GuestDisk } from '../guest/disks/guest-disk.ts';
import { defineGuest, diskElement, type Guest } from '../guest/guest.ts';
import { HOST, type System } from '../host/system.ts';
import { POOL } from './merge-scene.ts';

export type Creation = WorkflowHandle<(input: unknown) => Promise<CreateSnapshotResult>>;

/** Starts it as the client library does. */
export function startSnapshot(
  { client }: Pick<System, 'client'>,
  request: Omit<CreateSnapshotRequest, 'host'>,
): Promise<Creation> {
  const input = createSnapshotInput.parse({ ...request, host: HOST });
  return client.workflow.start<(input: unknown) => Promise<CreateSnapshotResult>>(
    'CreateSnapshot',
    { workflowId: input.vm, taskQueue: ORCHESTRATOR_QUEUE, args: [input] },
  );
}

export const takeSnapshot = async (
  system: Pick<System, 'client'>,
  request: Omit<CreateSnapshotRequest, 'host'>,
) => (await startSnapshot(system, request)).result();

export type Deletion = WorkflowHandle<(input: unknown) => Promise<DeleteSnapshotResult>>;

/** Starts the deletion of one as the client library does. */
export function startDeletion(
  { client }: Pick<System, 'client'>,
  request: Omit<DeleteSnapshotRequest, 'host'>,
): Promise<Deletion> {
  const input = deleteSnapshotInput.parse({ ...request, host: HOST });
  return client.workflow.start<(input: unknown) => Promise<DeleteSnapshotResult>>(
    'DeleteSnapshot',
    { workflowId: input.vm, taskQueue: ORCHESTRATOR_QUEUE, args: [input] },
  );
}

export const deleteSnapshot = async (
  system: Pick<System, 'client'>,
  request: Omit<DeleteSnapshotRequest, 'host'>,
) => (await startDeletion(system, request)).result();

export interface SeveralDisks {
  guest: Guest;
  /** By target, as the VM was defined; vda first. */
  disks: Record<string, string>;
}

interface Writing {
  /** So many of the disks, at most four; default all. */
  written?: number;
  /** Default 200, 0 = as fast as it goes. */
  writesPerSecond?: number;
  /** Of each disk that it writes, default as small as can be. */
  virtualSizeBytes?: number;
}

/**
 * A defined guest with so many disks, that writes to one after the other. The more disks and
 * writes, the further apart are disks that a broken snapshot takes in turn.
 */
export async function defineSeveralDisks(
  system: System,
  vm: string,
  count: number,
  { written = count, writesPerSecond = 200, ...size }: Writing = {},
): Promise<SeveralDisks> {
  const pool = join(system.host.pools, POOL);
  const disk = await createGuestDisk(join(pool, `${vm}.qcow2`), {
    format: 'qcow2',
    slots: 16,
    writesPerSecond,
    disks: written,
    ...size,
  });
  const disks: Record<string, string> = { vda: disk.path };
  const furtherDisks: GuestDisk[] = [];
  const besides: string[] = [];
  for (const [at, letter] of [...'bcdefgh'].slice(0, count - 1).entries()) {
    const path = join(pool, `${vm}-${letter}.qcow2`);
    const further = await createFurtherDisk(path, disk, at + 1);
    if (at + 1 < written) furtherDisks.push(further);
    else besides.push(diskElement(`vd${letter}`, path, 'qcow2'));
    disks[`vd${letter}`] = path;
  }
  const moreDevices = besides.join('\n');
  const options = { name: vm, disk, furtherDisks, moreDevices };
  return { guest: await defineGuest(system.host, options), disks };
}

/** Layers of its disks, for `expectGuestData` and `expectOneCut`. */
export const imagesOf = (layers: Record<string, string>) =>
  Object.entries(layers)
    .sort()
    .map(([, path]) => ({ path, format: 'qcow2' }));

/** What a VM's record, or its running domain, names: by target. */
export async function sourcesOf(system: System, vm: string, ...which: string[]) {
  const text = await system.host.virsh('-q', 'domblklist', vm, ...which);
  return Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => line.trim().split(/\s+/)),
  ) as Record<string, string>;
}
