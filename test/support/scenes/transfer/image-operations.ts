/** Images and the operations on them, as the client library starts them. */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import { ORCHESTRATOR_QUEUE } from '../../../../workflows/operation/contract.ts';
import {
  copyImageInput,
  moveImageInput,
  type CopyImageRequest,
  type MoveImageRequest,
} from '../../../../workflows/transfer/request.ts';
import {
  removeImageInput,
  type RemoveImageRequest,
} from '../../../../workflows/removal/request.ts';
import { type ImageRef, imageId } from '../../../../workflows/chain/references.ts';
import type { RemoveImageResult } from '../../../../workflows/removal/kind.ts';
import type { TransferResult } from '../../../../workflows/transfer/kind.ts';
import { createGuestDisk, type ImageFormat } from '../../guest/disks/guest-disk.ts';
import { defineGuest } from '../../guest/guest.ts';
import {
  POOL,
  startScene,
  startSharedSystem,
  type Scene,
  type SceneOptions,
} from '../merge-scene.ts';
import { growOverlay } from '../../guest/disks/snapshots.ts';
import { HOST, type System, type SystemOptions } from '../../host/system.ts';

/** The pool that images are moved to. */
export const VAULT = 'vault';

export async function startMoveSystem(
  options: SystemOptions & { vault?: string } = {},
): Promise<System> {
  return startSharedSystem({
    ...options,
    async prepare(host) {
      const folder = join(host.pools, VAULT);
      // A file system of its own has the name of every pool, too.
      if (options.vault !== undefined) await symlink(options.vault, folder);
      await host.definePool(VAULT, options.vault ?? folder);
    },
  });
}

/** A VM that is off, with libvirt snapshots `s1`, `s2`, ... above its base. */
export async function startOffScene(system: System, options: SceneOptions): Promise<Scene> {
  const layers = options.layers ?? 2;
  const snapshotNames = Array.from({ length: layers }, (_, i) => `s${i + 1}`);
  const scene = await startScene({ system, layers, snapshotNames, ...options });
  await scene.guest.kill();
  return scene;
}

/** A VM that was never started, with a disk in pool `images` that holds `bytes` of data. */
export async function defineOff(
  { host }: Pick<System, 'host'>,
  vm: string,
  { format = 'qcow2', bytes = 0 }: { format?: ImageFormat; bytes?: number } = {},
): Promise<string> {
  const path = join(host.pools, POOL, `${vm}.${format}`);
  const virtualSizeBytes = Math.max(64 * 2 ** 20, 2 * bytes);
  const disk = await createGuestDisk(path, { format, slots: 16, virtualSizeBytes });
  if (bytes > 0) await growOverlay(disk, { bytes });
  await defineGuest(host, { name: vm, disk });
  return path;
}

/** A standalone image in pool `images`: 16 MiB, data at 1 and 15 MiB, zeros that were written. */
export async function plainVolume(
  { host }: Pick<System, 'host'>,
  name: string,
  format: ImageFormat,
): Promise<ImageRef> {
  const volume = `${name}.${format}`;
  const file = join(host.pools, POOL, volume);
  await execa('qemu-img', ['create', '-q', '-f', format, file, '16M']);
  const writes = ['write -P 7 1M 512k', 'write -z 1536k 512k', 'write -P 9 15M 1M'];
  await execa('qemu-io', ['-f', format, ...writes.flatMap((line) => ['-c', line]), file]);
  return { kind: 'volume', pool: POOL, volume, format };
}

export type Handle<T> = WorkflowHandle<(input: unknown) => Promise<T>>;

function start<T>(client: Client, type: string, workflowId: string, input: unknown) {
  return client.workflow.start<(input: unknown) => Promise<T>>(type, {
    workflowId,
    taskQueue: ORCHESTRATOR_QUEUE,
    args: [input],
  });
}

export const startMove = (
  { client }: Pick<System, 'client'>,
  request: Omit<MoveImageRequest, 'host' | 'to'> & { to?: string; host?: string },
): Promise<Handle<TransferResult>> => {
  const input = moveImageInput.parse({ host: HOST, to: VAULT, ...request });
  return start(client, 'MoveImage', imageId(input.image), input);
};

export const startCopy = (
  { client }: Pick<System, 'client'>,
  request: Omit<CopyImageRequest, 'host'>,
): Promise<Handle<TransferResult>> => {
  const input = copyImageInput.parse({ host: HOST, ...request });
  return start(client, 'CopyImage', imageId(input.image), input);
};

export const startRemoval = (
  { client }: Pick<System, 'client'>,
  request: Omit<RemoveImageRequest, 'host'> & { host?: string },
): Promise<Handle<RemoveImageResult>> => {
  const input = removeImageInput.parse({ host: HOST, ...request });
  return start(client, 'RemoveImage', `${input.pool}/${input.volume}`, input);
};

export const diskOf = (vm: string) => ({ kind: 'disk', vm, disk: 'vda' }) as const;

/** The deletion of the copies, which an undone move has started. */
export async function undoHandle({ client }: Pick<System, 'client'>, move: WorkflowHandle) {
  const { events } = await move.fetchHistory();
  const children = (events ?? []).flatMap(
    (event) => event.childWorkflowExecutionStartedEventAttributes?.workflowExecution ?? [],
  );
  const undo = children.find(({ workflowId }) => workflowId?.includes('/undo/'));
  if (!undo?.workflowId) throw new Error(`${move.workflowId} started no deletion of its copies`);
  return client.workflow.getHandle(undo.workflowId);
}
