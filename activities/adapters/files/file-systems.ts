/** Types of file systems, as statfs(2) tells them. */
const EXT4 = 0xef53;
const XFS = 0x58465342;
export const BTRFS = 0x9123683e;
const TMPFS = 0x01021994;
const OVERLAYFS = 0x794c7630;
const F2FS = 0xf2f52010;
export const BCACHEFS = 0xca451a4e;
export const ZFS = 0x2fc12fc1;
export const GFS2 = 0x01161970;
export const OCFS2 = 0x7461636f;

/**
 * Every write is seen at once in a file's times, by this kernel's clock. Not so where other hosts
 * or programs write too.
 */
export const LOCAL: ReadonlySet<number> = new Set([
  EXT4,
  XFS,
  BTRFS,
  TMPFS,
  OVERLAYFS,
  F2FS,
  BCACHEFS,
  ZFS,
]);
