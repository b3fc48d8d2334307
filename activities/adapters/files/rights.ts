/** Who may read a file: the kernel alone says so, or also a server or another program. */
import { statfs } from './calls.ts';

/**
 * Types of statfs(2) on which a process with CAP_DAC_READ_SEARCH reads every file: ext4, xfs,
 * btrfs, tmpfs, overlayfs, f2fs, bcachefs, ZFS, gfs2, ocfs2. NFS, CIFS, Ceph and FUSE go by the
 * user.
 */
const BY_KERNEL = new Set([
  ...[0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0xf2f52010, 0xca451a4e],
  ...[0x2fc12fc1, 0x01161970, 0x7461636f],
]);

/** @throws what statfs(2) says, as for a file that is not there */
export async function isReadByRight(paths: readonly string[]): Promise<boolean> {
  const types = await Promise.all(paths.map(async (path) => (await statfs(path)).type));
  return types.every((type) => BY_KERNEL.has(type));
}
