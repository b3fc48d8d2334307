/** What the benches of MoveImage share: images that go back and forth between two pools. */
import { join } from 'node:path';
import { execa } from 'execa';
import type { Blockflow, MoveRequest, Operation, TransferResult } from '../../client/index.ts';
import { awaitRemoval, connectTo } from '../support/host/roles/blockflow-client.ts';
import { createGuestDisk } from '../support/guest/disks/guest-disk.ts';
import { defineGuest } from '../support/guest/guest.ts';
import { startSharedSystem } from '../support/scenes/merge-scene.ts';
import { growOverlay } from '../support/guest/disks/snapshots.ts';
import type { System } from '../support/host/system.ts';

export const GIB = 2 ** 30;

export interface Image {
  vm: string;
  format: 'qcow2' | 'raw';
  /** Of the 4 GiB and 64 MiB that the disk has. */
  dataBytes: number;
}

interface Pool {
  name: string;
  folder: string;
}

export interface MovesScene {
  system: System;
  blockflow: Blockflow;
  /** An image is made in the first. */
  pools: readonly [Pool, Pool];
  /** Pool in which an image is now. */
  at: Map<string, Pool>;
}

/** @param parent where the folders of both pools are; without it on the machine's disk */
export async function withMoves<T>(
  measure: (scene: MovesScene) => Promise<T>,
  parent?: string,
): Promise<T> {
  const system = await startSharedSystem({ name: 'moves', onDisk: true });
  const define = async (name: string): Promise<Pool> => {
    const folder = join(parent ?? system.host.pools, name);
    return { name, folder: await system.host.definePool(name, folder) };
  };
  const pools = [await define('one'), await define('two')] as const;
  const blockflow = await connectTo(system);
  const scene = { system, blockflow, pools, at: new Map<string, Pool>() };
  try {
    await warmUp(scene);
    return await measure(scene);
  } finally {
    await blockflow.close();
    await system.close();
  }
}

/** The first move waits until the SPM agent has seen that there are these pools. */
async function warmUp(scene: MovesScene): Promise<void> {
  const image: Image = { vm: 'first', format: 'qcow2', dataBytes: 2 ** 20 };
  await createImage(scene, image);
  await move(scene, image, { verify: 'none' });
}

const fileName = ({ vm, format }: Image) => `${vm}.${format}`;
export const poolOf = ({ at, pools }: MovesScene, { vm }: Pick<Image, 'vm'>) =>
  at.get(vm) ?? pools[0];
export const otherPool = (scene: MovesScene, image: Pick<Image, 'vm'>) =>
  poolOf(scene, image) === scene.pools[0] ? scene.pools[1] : scene.pools[0];
/** Where the image's file is now. */
export const pathOf = (scene: MovesScene, image: Image) =>
  join(poolOf(scene, image).folder, fileName(image));

export async function createImage(scene: MovesScene, image: Image): Promise<void> {
  const { vm, format, dataBytes } = image;
  const size = { format, virtualSizeBytes: 4 * GIB + 64 * 2 ** 20 };
  const disk = await createGuestDisk(pathOf(scene, image), size);
  await growOverlay(disk, { bytes: dataBytes });
  await defineGuest(scene.system.host, { name: vm, disk });
}

type Options = Pick<MoveRequest, 'verify' | 'bandwidthBytesPerSecond'>;
/** What happens to a move. */
type Meanwhile = (operation: Operation<TransferResult>) => Promise<void>;

/** Milliseconds until the image is usable in the other pool, without the source's deletion. */
export const move = async (
  scene: MovesScene,
  image: Image,
  options: Options,
  meanwhile?: Meanwhile,
): Promise<number> => (await timedMove(scene, image, options, meanwhile)).usableMs;

/** Until it is usable there, and until its source is deleted, too. */
export async function timedMove(
  scene: MovesScene,
  { vm }: Pick<Image, 'vm'>,
  options: Options,
  meanwhile: Meanwhile = () => Promise.resolve(),
): Promise<{ usableMs: number; doneMs: number }> {
  const { blockflow, at } = scene;
  const to = otherPool(scene, { vm });
  const begin = performance.now();
  const disk = { kind: 'disk', vm, disk: 'vda' } as const;
  const operation = await blockflow.move({ image: disk, to: to.name, ...options });
  await meanwhile(operation);
  const result = await operation.result();
  const usableMs = performance.now() - begin;
  at.set(vm, to);
  await awaitRemoval(blockflow, result);
  return { usableMs, doneMs: performance.now() - begin };
}

/** Every contender begins with the source on the disk alone. */
export const forget = (scene: MovesScene, image: Image) => forgetFile(pathOf(scene, image));

export async function forgetFile(path: string): Promise<void> {
  await execa('sync', [path]);
  await execa('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
}

export const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;
