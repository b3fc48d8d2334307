/** A running VM with many disks: many merges on one host without as many guests. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createGuestDisk } from './guest-disk.ts';
import { guestDomainXml } from '../guest.ts';
import { POOL } from '../../scenes/merge-scene.ts';
import { createImage } from '../shut-off-vm.ts';
import type { System } from '../../host/system.ts';

/** Starts VM `many` with so many disks on virtio-scsi, each with one overlay. */
export async function defineManyDisks(
  system: System,
  count: number,
  fill: (top: string, at: number) => Promise<unknown> = () => Promise.resolve(),
): Promise<string[]> {
  const pool = join(system.host.pools, POOL);
  const boot = await createGuestDisk(join(pool, 'many.qcow2'), { format: 'qcow2' });
  const names = Array.from({ length: count }, (_, i) => target(i));
  for (const [at, name] of names.entries()) {
    const below = await createImage(join(pool, `${name}.qcow2`));
    await fill(await createImage(join(pool, `${name}-snap.qcow2`), { below }), at);
  }
  const elements = names.map(
    (name) => `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='${join(pool, `${name}-snap.qcow2`)}'/>
      <target dev='${name}' bus='scsi'/></disk>`,
  );
  const xml = guestDomainXml({
    name: 'many',
    diskPath: boot.path,
    format: 'qcow2',
    serialPath: join(system.host.root, 'many.serial'),
    moreDevices: [`<controller type='scsi' model='virtio-scsi'/>`, ...elements].join('\n'),
  });
  const file = join(system.host.root, 'many.xml');
  await writeFile(file, xml);
  await system.host.virsh('define', file);
  await system.host.virsh('start', 'many');
  return names;
}

/** sda … sdz, sdaa … as libvirt counts. */
function target(index: number): string {
  const letters = 'abcdefghijklmnopqrstuvwxyz';
  const head = index >= 26 ? (letters[Math.floor(index / 26) - 1] ?? '') : '';
  return `sd${head}${letters[index % 26] ?? ''}`;
}
