/**
 * Who writes to volumes and takes none of QEMU's locks, which all else is seen by: a loop device of
 * a person who repairs a guest, or a program of theirs. Only this host's are seen.
 */
import { refused } from '../../../workflows/operation/failures.ts';
import { findOpener, type Access } from '../../adapters/files/open-files.ts';

interface File {
  path: string;
  identity: string;
}

/** The first one, in words; null when there is none. */
export async function observeWriter(
  files: readonly File[],
  access: Exclude<Access, 'any'> = 'writing-unlocked',
): Promise<string | null> {
  const opener = await findOpener(new Set(files.map(({ identity }) => identity)), access);
  if (!opener) return null;
  const path = files.find(({ identity }) => identity === opener.identity)?.path ?? '';
  return `${opener.by} has ${path} open for writing`;
}

/** @throws Refused `volume-in-use` */
export async function assertNotWritten(
  attempted: string,
  files: readonly File[],
  access?: Exclude<Access, 'any'>,
): Promise<void> {
  const writer = await observeWriter(files, access);
  if (writer === null) return;
  throw refused('volume-in-use', {
    attempted,
    now: `${writer}; nothing was done`,
    next: 'End that use (`losetup --detach` for a loop device), then repeat the request',
  });
}
