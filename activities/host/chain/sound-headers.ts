/**
 * QEMU marks an image as corrupt when it meets broken metadata, and from then on opens it for
 * reading only: under an overlay it is read on, as an active layer it does not start.
 */
import { refused } from '../../../workflows/operation/failures.ts';
import type { ImageHeader } from '../../adapters/qemu-img/qemu-img.ts';
import { shell } from '../../../workflows/operation/names.ts';

interface Layer {
  path: string;
  header: ImageHeader;
}

/**
 * @param written layers that QEMU has to open for writing, by the operation or when the VM starts
 * @throws Refused `corrupt-image`
 */
export function assertSound(attempted: string, written: readonly Layer[]): void {
  const corrupt = written.find(({ header }) => header.isCorrupt);
  if (!corrupt) return;
  const { path } = corrupt;
  throw refused('corrupt-image', {
    attempted,
    now: `${path} is marked corrupt, and QEMU opens it for reading only; nothing was done`,
    next:
      'Make a copy of it, then repair it while no VM uses it: ' +
      shell`qemu-img check -f qcow2 -r all ${path}`,
  });
}
