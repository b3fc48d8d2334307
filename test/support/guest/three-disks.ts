/** A running guest with three disks, and libvirt's snapshots of all of them. */
import { join } from 'node:path';
import { execa } from 'execa';
import { startScene, type Scene } from '../scenes/merge-scene.ts';
import { SMALL } from '../scenes/merge-checks.ts';
import type { System } from '../host/system.ts';
import { createImage } from './shut-off-vm.ts';

export const DISKS = ['vda', 'vdb', 'vdc'] as const;

/** The layer of a disk that came with a snapshot. */
export const layerOf = ({ pool, guest }: Scene, snapshot: string, disk: string) =>
  join(pool, `${guest.name}-${snapshot}-${disk}`);

/** Which byte a data disk has at the place of this snapshot: written before it was taken. */
const patternOf = (at: number) => 0x10 + at;

interface Options {
  system: System;
  vm: string;
  snapshots: readonly string[];
}

/**
 * Starts it: vda is the guest's own, and written all the time; vdb and vdc hold a MiB of their own
 * for each snapshot.
 */
export async function startThreeDisks({ system, vm, snapshots }: Options): Promise<Scene> {
  const scene = await startScene({ system, vm, layers: 0, guest: SMALL });
  const { guest, pool } = scene;
  for (const disk of DISKS.slice(1)) {
    const file = await createImage(join(pool, `${vm}-${disk}.qcow2`));
    await execa('qemu-io', ['-f', 'qcow2', '-c', `write -P ${patternOf(0)} 0 1M`, file]);
    const driver = ['--targetbus', 'virtio', '--driver', 'qemu', '--subdriver', 'qcow2'];
    await system.host.virsh('attach-disk', vm, file, disk, ...driver, '--live', '--config');
  }
  for (const name of snapshots) {
    await takeSnapshot(scene, name);
    await guest.waitForAcks(17, 60_000);
  }
  return scene;
}

/** One of all disks, or of some. */
export async function takeSnapshot(
  scene: Scene,
  name: string,
  disks: readonly string[] = DISKS,
): Promise<void> {
  const { host, name: vm } = scene.guest;
  const specs = DISKS.flatMap((disk) => [
    '--diskspec',
    disks.includes(disk) ? `${disk},file=${layerOf(scene, name, disk)}` : `${disk},snapshot=no`,
  ]);
  await host.virsh('snapshot-create-as', vm, name, '--disk-only', '--atomic', ...specs);
}

/** The data disks have what was written to them, whatever was merged; the VM may run. */
export async function expectData(scene: Scene): Promise<void> {
  for (const disk of DISKS.slice(1)) {
    const xml = await scene.guest.host.virsh('domblklist', scene.guest.name);
    const file = new RegExp(`^ ${disk}\\s+(\\S+)`, 'm').exec(xml)?.[1] ?? '';
    const read = ['-c', `read -P ${patternOf(0)} 0 1M`];
    await execa('qemu-io', ['-r', '-U', '-f', 'qcow2', ...read, file]);
  }
}
