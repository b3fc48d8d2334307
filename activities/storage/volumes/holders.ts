/**
 * I3 by the SPM agent itself: whatever an operation has proven before, right before a deletion
 * nothing of this agent's own libvirt would read the volumes.
 */
import { hold } from '../../../workflows/operation/failures.ts';
import { isUnlocked } from '../../adapters/qemu-img/qemu-img.ts';
import type { Libvirt } from '../../adapters/virsh/domains.ts';
import { observePools } from '../../adapters/virsh/pools.ts';
import { observeHolders } from '../../host/uses/references.ts';

interface File {
  path: string;
  /** `device:inode` on this host. */
  identity: string;
}

/**
 * @param files they may stand on each other
 * @returns which one is needed by whom, in words; null when none is
 * @throws Hold `unproven` where that cannot be told
 */
export async function holderOf(libvirt: Libvirt, files: readonly File[]): Promise<string | null> {
  if (files.length === 0) return null;
  const pools = await observePools(libvirt);
  const { uses } = await observeHolders({ libvirt }, { volumes: files, pools, owner: null });
  const [use] = uses;
  if (!use) return null;
  return use.kind === 'child' ? `${use.by} stands on ${use.path}` : `${use.by} uses ${use.path}`;
}

/**
 * Of copies under their final names, which a VM may already have.
 * @throws Hold `unproven`
 */
export async function assertUnheld(
  libvirt: Libvirt,
  attempted: string,
  files: readonly File[],
): Promise<void> {
  const holder = await holderOf(libvirt, files);
  if (holder !== null) throw held(attempted, holder);
  // The last look, as this one is quick.
  for (const { path } of files) {
    if (!(await isUnlocked(path))) throw held(attempted, `some process has ${path} open`);
  }
}

const held = (attempted: string, why: string) =>
  hold('unproven', {
    attempted,
    now: `${why}; nothing was deleted`,
    next: 'If it is not needed there, end that use (`fuser`, `virsh domblklist`), then repeat',
  });
