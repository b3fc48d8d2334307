/**
 * Images to move: a system with two pools, and what must be true of them after a move, a copy or a
 * removal.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { expect } from '@jest/globals';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import { OWN_FOLDER } from '../../activities/adapters/pools.ts';
import { ORCHESTRATOR_QUEUE } from '../../workflows/contract.ts';
import { copyImageInput, moveImageInput, removeImageInput } from '../../workflows/image-schemas.ts';
import type { CopyImageRequest, MoveImageRequest } from '../../workflows/image-schemas.ts';
import type { ImageRef } from '../../workflows/image-schemas.ts';
import type { RemoveImageRequest, RemoveImageResult } from '../../workflows/image-schemas.ts';
import type { TransferResult } from '../../workflows/image-schemas.ts';
import { imageId, imageStatusQuery, type ImageStatus } from '../../workflows/move-contract.ts';
import { createGuestDisk, type ImageFormat } from './guest-disk.ts';
import { defineGuest } from './guest.ts';
import { POOL, startScene, startSharedSystem } from './merge-scene.ts';
import type { Scene, SceneOptions } from './merge-scene.ts';
import { poolFiles } from './pool-files.ts';
import { growOverlay } from './snapshots.ts';
import { HOST, type System, type SystemOptions } from './system.ts';
import { waitUntil } from './wait-until.ts';

/** The pool that images are moved to. */
export const VAULT = 'vault';

export async function startMoveSystem(options: SystemOptions = {}): Promise<System> {
  const system = await startSharedSystem(options);
  await system.host.definePool(VAULT);
  return system;
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
  { host }: System,
  vm: string,
  { format = 'qcow2', bytes = 0 }: { format?: ImageFormat; bytes?: number } = {},
): Promise<string> {
  const path = join(host.pools, POOL, `${vm}.${format}`);
  const virtualSizeBytes = 64 * 2 ** 20;
  const disk = await createGuestDisk(path, { format, slots: 16, virtualSizeBytes });
  if (bytes > 0) await growOverlay(disk, { bytes });
  await defineGuest(host, { name: vm, disk });
  return path;
}

/** An image of no VM in pool `images`: 16 MiB, data at 1 and 15 MiB, zeros that were written. */
export async function plainVolume(
  { host }: System,
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

type Handle<T> = WorkflowHandle<(input: unknown) => Promise<T>>;

function start<T>(client: Client, type: string, workflowId: string, input: unknown) {
  return client.workflow.start<(input: unknown) => Promise<T>>(type, {
    workflowId,
    taskQueue: ORCHESTRATOR_QUEUE,
    args: [input],
  });
}

export const startMove = (
  { client }: System,
  request: Omit<MoveImageRequest, 'host' | 'to'> & { to?: string },
): Promise<Handle<TransferResult>> => {
  const input = moveImageInput.parse({ host: HOST, to: VAULT, ...request });
  return start(client, 'MoveImage', imageId(input.image), input);
};

export const startCopy = (
  { client }: System,
  request: Omit<CopyImageRequest, 'host'>,
): Promise<Handle<TransferResult>> => {
  const input = copyImageInput.parse({ host: HOST, ...request });
  return start(client, 'CopyImage', imageId(input.image), input);
};

export const startRemoval = (
  { client }: System,
  request: Omit<RemoveImageRequest, 'host'>,
): Promise<Handle<RemoveImageResult>> => {
  const input = removeImageInput.parse({ host: HOST, ...request });
  return start(client, 'RemoveImage', `${input.pool}/${input.volume}`, input);
};

export const diskOf = (vm: string) => ({ kind: 'disk', vm, disk: 'vda' }) as const;

/** A content hash of each file, by its name. */
export async function digests(files: readonly string[]): Promise<Record<string, string>> {
  const found = files.map(async (file): Promise<[string, string]> => {
    const hash = createHash('sha256');
    await pipeline(createReadStream(file), hash);
    return [basename(file), hash.digest('hex')];
  });
  return Object.fromEntries(await Promise.all(found));
}

/** Hashes of what a guest would read through each volume, its chain below it included. */
export async function contents(files: readonly string[], formats: readonly string[] = []) {
  const found: string[] = [];
  for (const [at, file] of files.entries()) {
    const raw = `${file}.flat`;
    await execa('qemu-img', ['convert', '-f', formats[at] ?? 'qcow2', '-O', 'raw', file, raw]);
    found.push((await digests([raw]))[basename(raw)] as string);
    await execa('rm', [raw]);
  }
  return found;
}

/** Waits until the source's removal, which a move does not wait for, has ended. */
export async function removalOf(system: System, result: TransferResult) {
  expect(result.removal).not.toBeNull();
  return system.client.workflow
    .getHandle(result.removal ?? '')
    .result() as Promise<RemoveImageResult>;
}

/** The VM boots from where its record points, and finds every write it was acknowledged. */
export async function expectBoots(scene: Scene): Promise<void> {
  await scene.guest.start(60_000);
  await scene.guest.waitForAcks(scene.guest.disk.parameters.slots, 60_000);
  expect(await scene.verifyAfterCrash()).toBeGreaterThan(scene.guest.disk.parameters.slots);
}

/** The persistent source of a VM's disk. */
export async function recordOf({ host }: System, vm: string): Promise<string> {
  const xml = await host.virsh('dumpxml', vm, '--inactive');
  return /<disk.*?<source file='([^']*)'/s.exec(xml)?.[1] ?? '';
}

/** Waits until the operation's own status satisfies `look`. */
export function untilMove(
  handle: Handle<TransferResult>,
  what: string,
  look: (status: ImageStatus) => boolean,
): Promise<ImageStatus> {
  let last: ImageStatus | undefined;
  return waitUntil(
    () => `${what}; the status is ${JSON.stringify(last)}`,
    async () => {
      last = await handle.query(imageStatusQuery);
      return look(last) && last;
    },
    { timeoutMs: 60_000, intervalMs: 50 },
  );
}

/** Daemons that hold or copy images for this system. */
export async function copiers({ runtimeDir }: System): Promise<number[]> {
  const { stdout } = await execa('pgrep', ['-f', `qemu-storage-daemon.*${runtimeDir}/`], {
    reject: false,
  });
  return stdout.split('\n').filter(Boolean).map(Number);
}

/**
 * Nothing is left of an operation that did not happen: the source's names, an empty vault, no
 * daemon.
 */
export async function expectNothingLeft(system: System, names: readonly string[]): Promise<void> {
  const there = await poolFiles(join(system.host.pools, POOL));
  expect(there).toEqual(expect.arrayContaining([...names]));
  expect(there.filter((name) => name.startsWith(OWN_FOLDER))).toEqual([]);
  expect(await poolFiles(join(system.host.pools, VAULT))).toEqual([]);
  expect(await copiers(system)).toEqual([]);
}

export const inVault = (system: System, file: string) =>
  join(system.host.pools, VAULT, basename(file));
