/** A guest with three disks, and snapshots inside of their images. */
import { execa } from 'execa';
import { checkImage } from '../../../activities/adapters/qemu-img/image-check.ts';
import { insideOf } from '../guest/disks/inner-snapshots.ts';
import { DISKS, startThreeDisks, type ThreeDisks } from '../guest/disks/three-disks.ts';
import type { System } from '../host/system.ts';

export interface InsideScene extends ThreeDisks {
  /** The images of vda, vdb and vdc. */
  images: Record<(typeof DISKS)[number], string>;
  /** `id name` of all that is inside of each image. */
  inside(): Promise<Record<string, string[]>>;
  /** Nothing is leaked or wrong in any image; the VM is down. */
  expectSound(): Promise<void>;
}

/** @param names of snapshots that libvirt takes inside of the images, while the VM is down */
export async function startInside(
  system: System,
  vm: string,
  names: readonly string[],
): Promise<InsideScene> {
  const scene = await startThreeDisks({ system, vm, snapshots: [], running: false });
  for (const name of names) await system.host.virsh('snapshot-create-as', vm, name);
  const file = (end: string) => `${scene.pool}/${vm}${end}.qcow2`;
  const images = { vda: file(''), vdb: file('-vdb'), vdc: file('-vdc') };
  return {
    ...scene,
    images,
    async inside() {
      const found = DISKS.map(async (disk) => [disk, await insideOf(images[disk])] as const);
      return Object.fromEntries(await Promise.all(found));
    },
    async expectSound() {
      for (const path of Object.values(images)) {
        const found = await checkImage(path);
        if (found !== 'sound') throw new Error(`${path} is not sound: ${found}`);
      }
    },
  };
}

/** A raw disk beside them, which the VM writes. */
export async function attachRaw({ guest, pool }: InsideScene): Promise<void> {
  const path = `${pool}/${guest.name}-raw.img`;
  await execa('qemu-img', ['create', '-q', '-f', 'raw', path, '8M']);
  await guest.host.virsh('attach-disk', guest.name, path, 'vdd', '--subdriver', 'raw', '--config');
}

/** No command was given to its QEMU past libvirt. */
export async function expectUntainted({ guest }: InsideScene): Promise<void> {
  const info = await guest.host.virsh('dominfo', guest.name);
  if (/custom/.test(info)) throw new Error(`${guest.name} is tainted: ${info}`);
}
