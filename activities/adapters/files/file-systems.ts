/** Types of file systems, as statfs(2) tells them. */
export const EXT4 = 0xef53;
export const XFS = 0x58465342;
export const BTRFS = 0x9123683e;
export const TMPFS = 0x01021994;
export const OVERLAYFS = 0x794c7630;
export const F2FS = 0xf2f52010;
export const BCACHEFS = 0xca451a4e;
export const ZFS = 0x2fc12fc1;
export const GFS2 = 0x01161970;
export const OCFS2 = 0x7461636f;
