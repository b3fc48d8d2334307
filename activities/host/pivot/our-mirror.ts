/** Whether the mirror on a disk is ours. */
import { observeFile } from '../../adapters/files/files.ts';
import type { XmlDisk, XmlMirror } from '../../adapters/libvirt-xml/domain-xml.ts';
import type { DiskSwitch } from './disk-switch.ts';

/** False for the mirror of a commit; libvirt may not tell yet. */
export const mayBeCopy = (mirror: XmlMirror | null | undefined): mirror is XmlMirror =>
  mirror?.job === 'copy' || mirror?.job === '';

/**
 * Another one's mirror is never attached to, pivoted or ended. One whose file has lost its name, or
 * whose pool is not mounted, is known by the name that only ours has.
 */
export async function isOurMirror({ to }: DiskSwitch, disk: XmlDisk | null): Promise<boolean> {
  const mirror = disk?.mirror;
  if (!mayBeCopy(mirror)) return false;
  const file = await observeFile(mirror.path);
  const isKnown = file !== null && to.identity !== '';
  return isKnown ? file.identity === to.identity : mirror.path === to.path;
}
