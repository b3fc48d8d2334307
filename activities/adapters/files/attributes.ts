/** What a file has beside its data: owner, mode, ACL, extended attributes, flags, times. */
import { constants, type BigIntStats } from 'node:fs';
import { open, stat, type FileHandle } from './calls.ts';
import { run } from '../process/command.ts';

/** Also the ACL, or an error where the target's file system has none and the source has one. */
export const copyRights = (source: string, target: FileHandle) =>
  copyAttributes('mode,ownership', source, target);

const OWNER_WRITES = 0o600;

/** Bits of its mode, when its owner may not read and write it; else null. */
export async function modeUnlessWritten(path: string): Promise<number | null> {
  const mode = (await stat(path)).mode & 0o7777;
  return (mode & OWNER_WRITES) === OWNER_WRITES ? null : mode;
}

/** The same rights for a file that is written, whatever the mode of the source. */
export async function copyRightsToWrite(source: string, target: FileHandle): Promise<void> {
  await copyRights(source, target);
  await target.chmod(((await target.stat()).mode & 0o7777) | OWNER_WRITES);
}

/** An error where the target's file system has none and the source has some. */
export const copyExtended = (source: string, target: FileHandle) =>
  copyAttributes('xattr', source, target);

/**
 * By the open file and not by its name: `cp` creates a file where the name leads to none any more,
 * because another attempt has renamed it, and that empty file would be taken for the copy.
 */
async function copyAttributes(which: string, source: string, target: FileHandle): Promise<void> {
  const open = `/proc/${process.pid}/fd/${target.fd}`;
  const cp = ['cp', '--attributes-only', `--preserve=${which}`, '--', source, open];
  // libvirt's own attributes (`trusted.libvirt.*`, whose file it was before) are of this very file.
  // They are not shown without CAP_SYS_ADMIN.
  const command =
    process.getuid?.() === 0 ? ['setpriv', '--bounding-set', '-sys_admin', ...cp] : cp;
  await run('env', command);
}

/**
 * Gives a file the owner of another one: libvirt, which has forgotten the file, has taken it from
 * QEMU's user. Nothing happens where it has that owner, or another file has its name.
 */
export async function giveOwnerOf(source: string, target: Identified): Promise<void> {
  await withSameFile(target, async (file, is) => {
    const wanted = await stat(source);
    const isSame = Number(is.uid) === wanted.uid && Number(is.gid) === wanted.gid;
    if (!isSame) await file.chown(wanted.uid, wanted.gid);
  });
}

/** Both times of the source. */
export async function copyTimes(source: string, target: FileHandle): Promise<void> {
  const { atimeMs, mtimeMs } = await stat(source);
  await target.utimes(atimeMs / 1000, mtimeMs / 1000);
}

/**
 * Lets a file count as modified then, as a change that keeps its data is to be none. Nothing
 * happens where another file has the name, or where the file system does not allow it.
 * @param modifiedNs since the epoch; what is set may be off by a microsecond
 */
export async function setModified(file: Identified, modifiedNs: string): Promise<void> {
  const seconds = Number(BigInt(modifiedNs) / 1000n) / 1e6;
  const set = withSameFile(file, (opened, { atimeMs }) =>
    opened.utimes(Number(atimeMs) / 1000, seconds),
  );
  await set.catch(() => undefined);
}

interface Identified {
  path: string;
  identity: string;
}

/** Lends the file of this identity; another one that has its name is not touched. */
async function withSameFile(
  { path, identity }: Identified,
  use: (file: FileHandle, is: BigIntStats) => Promise<void>,
): Promise<void> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const is = await file.stat({ bigint: true });
    if (`${is.dev}:${is.ino}` === identity) await use(file, is);
  } finally {
    await file.close();
  }
}

/** Flag `C` of btrfs: data is overwritten in place. False where there is no such flag. */
export async function isNoCopyOnWrite(path: string): Promise<boolean> {
  const text = await run('lsattr', ['-d', path]).catch(() => '');
  return /^\S*C\S*\s/.test(text);
}
