/** What the benches of live moves share: running VMs whose images go from one pool to another. */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createGuestDisk, type GuestDisk } from '../../support/guest/disks/guest-disk.ts';
import { regionEndBytes } from '../../support/guest/guest-sector.ts';
import { defineGuest, type Guest } from '../../support/guest/guest.ts';
import { createOverlay, growOverlay } from '../../support/guest/disks/snapshots.ts';
import { forgetFile, otherPool, poolOf, type MovesScene } from '../moves-scene.ts';

const MIB = 2 ** 20;

export interface LiveImage {
  vm: string;
  /** Virtual size, without what the guest itself needs. */
  bytes: number;
  /** `sparse` has a sixty-fourth of its size, each layer of `chain` a third in its own place. */
  kind: 'full' | 'sparse' | 'chain';
  writesPerSecond: number;
}

export interface RunningImage extends LiveImage {
  guest: Guest;
  /** File names, base-most first. */
  names: string[];
}

/** In the first pool, while its VM is down; a VM of that name must not be there. */
export async function createLive(scene: MovesScene, image: LiveImage): Promise<RunningImage> {
  const { vm, bytes, kind, writesPerSecond } = image;
  const [{ folder }] = scene.pools;
  const virtualSizeBytes = bytes + 64 * MIB;
  let top: GuestDisk = await createGuestDisk(join(folder, `${vm}.qcow2`), {
    ...{ format: 'qcow2', virtualSizeBytes, writesPerSecond },
  });
  const names = [basename(top.path)];
  const layers = kind === 'chain' ? 3 : 1;
  const each = Math.floor((kind === 'sparse' ? bytes / 64 : bytes / layers) / MIB) * MIB;
  const firstAt = regionEndBytes(top.parameters);
  for (let layer = 0; layer < layers; layer++) {
    if (layer > 0) {
      top = await createOverlay(join(folder, `${vm}-${layer}.qcow2`), top);
      names.push(basename(top.path));
    }
    await growOverlay(top, { bytes: each, offsetBytes: firstAt + layer * each });
  }
  scene.at.set(vm, scene.pools[0]);
  return { ...image, names, guest: await defineGuest(scene.system.host, { name: vm, disk: top }) };
}

export async function startGuest({ guest }: RunningImage): Promise<void> {
  await guest.start(60_000);
  await guest.waitForAcks(1, 60_000);
}

/** Its VM and its files are gone. */
export async function removeLive(scene: MovesScene, image: RunningImage): Promise<void> {
  const paths = pathsOf(scene, image);
  await image.guest.kill();
  await scene.system.host.virsh('undefine', image.vm);
  await Promise.all(paths.map((path) => rm(path)));
}

/** Where its volumes are now, base-most first. */
export const pathsOf = (scene: MovesScene, image: RunningImage) =>
  image.names.map((name) => join(poolOf(scene, image).folder, name));

/** Every contender begins with a source that is on the disk alone. */
export async function forgetAll(scene: MovesScene, image: RunningImage): Promise<void> {
  for (const path of pathsOf(scene, image)) await forgetFile(path);
}

/** What a person types for it; a chain becomes one volume. */
export async function copyByHand(scene: MovesScene, image: RunningImage): Promise<number> {
  const to = otherPool(scene, image);
  const sources = pathsOf(scene, image);
  const top = image.names.at(-1) ?? '';
  const begin = performance.now();
  const wanted = ['--dest', join(to.folder, top), '--format', 'qcow2', '--transient-job'];
  await scene.system.host.virsh('blockcopy', image.vm, 'vda', ...wanted, '--wait', '--pivot');
  await Promise.all(sources.map((path) => rm(path)));
  const took = performance.now() - begin;
  scene.at.set(image.vm, to);
  image.names = [top];
  return took;
}
