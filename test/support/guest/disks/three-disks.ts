/** A guest with three disks, and libvirt's snapshots of them. */
import { join } from 'node:path';
import { execa } from 'execa';
import { asScene, POOL, type Scene } from '../../scenes/merge-scene.ts';
import type { System } from '../../host/system.ts';
import { createGuestDisk } from './guest-disk.ts';
import { defineGuest } from '../guest.ts';

export const DISKS = ['vda', 'vdb', 'vdc'] as const;
const DATA = DISKS.slice(1);
const MIB = 2 ** 20;

/** The layer of a disk that came with a snapshot. */
export const layerOf = ({ pool, guest }: Scene, snapshot: string, disk: string) =>
  join(pool, `${guest.name}-${snapshot}-${disk}`);

interface Options {
  system: System;
  vm: string;
  snapshots: readonly string[];
  /** Of each layer of a data disk, default 1: a limit holds after the first 16. */
  mebibytes?: number;
  /** Default true. */
  running?: boolean;
}

export interface ThreeDisks extends Scene {
  /** Each data disk holds what was written to any of its layers. */
  expectData(): Promise<void>;
}

/** vda is the guest's own, which writes to it; each layer of the others has a place of its own. */
export async function startThreeDisks(options: Options): Promise<ThreeDisks> {
  const { system, vm, snapshots, mebibytes = 1, running = true } = options;
  const pool = join(system.host.pools, POOL);
  const disk = await createGuestDisk(join(pool, `${vm}.qcow2`), { format: 'qcow2', slots: 16 });
  const elements = DATA.map(async (target) => {
    const file = join(pool, `${vm}-${target}.qcow2`);
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', file, '128M']);
    return `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='${file}'/><target dev='${target}' bus='virtio'/></disk>`;
  });
  const moreDevices = (await Promise.all(elements)).join('\n');
  const guest = await defineGuest(system.host, { name: vm, disk, moreDevices });
  const scene = asScene(system, guest, [disk.path]);
  for (const [at, name] of snapshots.entries()) {
    await takeSnapshot(scene, name);
    for (const target of DATA) {
      const write = `write -q -P ${at + 1} ${at * mebibytes}M ${mebibytes}M`;
      const file = layerOf(scene, name, target);
      await execa('qemu-io', ['-t', 'unsafe', '-f', 'qcow2', '-c', write, file]);
    }
  }
  if (running) {
    await guest.start();
    await guest.waitForAcks(17, 60_000);
  }
  const patterns = snapshots.map((_, at) => ({ at: at * mebibytes * MIB, byte: at + 1 }));
  const bytes = mebibytes * MIB;
  return {
    ...scene,
    async expectData() {
      for (const target of DATA) {
        const reads = patterns.flatMap(({ at, byte }) => ['-c', `read -P ${byte} ${at} ${bytes}`]);
        const file = await activeLayerOf(scene, target);
        await execa('qemu-io', ['-r', '-U', '-f', 'qcow2', ...reads, file]);
      }
    },
  };
}

export async function activeLayerOf({ guest }: Scene, disk: string): Promise<string> {
  const list = await guest.host.virsh('domblklist', guest.name);
  return new RegExp(`^ ${disk} +(\\S+)`, 'm').exec(list)?.[1] ?? '';
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

/** What libvirt lists: the parent of each snapshot. */
export async function listed({ guest: { host, name: vm } }: Scene) {
  const names = (await host.virsh('-q', 'snapshot-list', vm, '--name')).split('\n').filter(Boolean);
  const parents = names.map(async (name) => {
    const xml = await host.virsh('snapshot-dumpxml', vm, '--snapshotname', name);
    return [name, /<parent>\s*<name>(.*)<\/name>/.exec(xml)?.[1] ?? null] as const;
  });
  return Object.fromEntries(await Promise.all(parents));
}
