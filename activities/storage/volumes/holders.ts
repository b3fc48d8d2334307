/**
 * I3 by the SPM agent itself: whatever an operation has proven before, right before a deletion
 * nothing of this agent's own libvirt would read the volumes.
 */
import { hold } from '../../../workflows/operation/failures.ts';
import { END_PROCESS, endOfUse } from '../../../workflows/chain/other-hosts.ts';
import { isUnlocked } from '../../adapters/qemu-img/qemu-img.ts';
import type { Libvirt } from '../../adapters/virsh/domains.ts';
import { observePools } from '../../adapters/virsh/pools.ts';
import { observeHolders } from '../../host/uses/references.ts';

interface File {
  path: string;
  /** `device:inode` on this host. */
  identity: string;
  /** The name that it had before it was put into quarantine. */
  was?: string;
}

export interface Holder {
  /** What is needed by whom. */
  why: string;
  /** What ends that, without a dot. */
  next: string;
}

/**
 * @param files they may stand on each other
 * @returns which one is needed by whom, and what ends that; null when none is
 * @throws Hold `unproven` where that cannot be told
 */
export async function holderOf(libvirt: Libvirt, files: readonly File[]): Promise<Holder | null> {
  if (files.length === 0) return null;
  const pools = await observePools(libvirt);
  const names = files.flatMap(({ was }) => was ?? []);
  const question = { volumes: files, names, pools, owner: null };
  const { uses } = await observeHolders({ libvirt }, question);
  const [use] = uses;
  if (!use) return null;
  const verb = use.kind === 'child' ? 'stands on' : 'uses';
  return { why: `${use.by} ${verb} ${use.path}`, next: endOfUse(use) };
}

/**
 * Of copies under their final names, which a VM may already have, and of what is in quarantine.
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
    if (!(await isUnlocked(path))) throw held(attempted, openBySome(path));
  }
}

const openBySome = (path: string): Holder => ({
  why: `some process has ${path} open`,
  next: END_PROCESS,
});

const held = (attempted: string, { why, next }: Holder) =>
  hold('unproven', {
    attempted,
    now: `${why}; nothing was deleted`,
    next: `${next}, then repeat the request`,
  });
