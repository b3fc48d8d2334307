/** The checkpoints of a disk. */
import { disksWithBitmap } from '../../adapters/libvirt-xml/checkpoint-xml.ts';
import type { HostDeps } from '../deps.ts';

/**
 * Names of those that have a dirty bitmap in this disk. Bitmaps that began since QEMU opened the
 * active layer are in no header yet.
 */
export async function checkpointsOf(
  { libvirt }: Pick<HostDeps, 'libvirt'>,
  vmUuid: string,
  disk: string,
): Promise<string[]> {
  const found: string[] = [];
  for (const name of await libvirt.checkpointNames(vmUuid)) {
    if (disksWithBitmap(await libvirt.checkpointXml(vmUuid, name)).includes(disk)) found.push(name);
  }
  return found;
}
