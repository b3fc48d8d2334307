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
import { createGuestDisk } from '../guest/guest-disk.ts';
import { defineGuest, type Guest } from '../guest/guest.ts';
import { createImage } from '../guest/shut-off-vm.ts';
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
  /** By target, as the VM was defined. */
  disks: Record<string, string>;
}

/** A defined guest that writes to vda; the disks vdb, vdc, … are there besides. */
export async function defineSeveralDisks(
  system: System,
  vm: string,
  count: number,
): Promise<SeveralDisks> {
  const pool = join(system.host.pools, POOL);
  const disk = await createGuestDisk(join(pool, `${vm}.qcow2`), {
    format: 'qcow2',
    slots: 16,
    writesPerSecond: 200,
  });
  const disks: Record<string, string> = { vda: disk.path };
  for (const letter of 'bcdefgh'.slice(0, count - 1)) {
    disks[`vd${letter}`] = await createImage(join(pool, `${vm}-${letter}.qcow2`));
  }
  const moreDevices = Object.entries(disks)
    .slice(1)
    .map(
      ([target, path]) => `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='${path}'/><target dev='${target}' bus='virtio'/></disk>`,
    )
    .join('\n');
  return { guest: await defineGuest(system.host, { name: vm, disk, moreDevices }), disks };
}

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
