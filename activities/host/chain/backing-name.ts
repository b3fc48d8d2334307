/** The backing name in the header of an overlay, for merges and for copies. */
import { dirname, relative } from 'node:path';
import { retry } from '../../../workflows/operation/failures.ts';
import { backingNameOnDisk } from '../../adapters/qemu-img/backing-name.ts';
import { asFileName, rebaseUnsafe } from '../../adapters/qemu-img/qemu-img.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { setModified } from '../../adapters/files/attributes.ts';
import type { HostDeps } from '../deps.ts';

/** Of base, for the header of an overlay. */
export const relativeName = (overlay: { path: string }, base: { path: string }): string =>
  asFileName(relative(dirname(overlay.path), base.path));

interface Header {
  path: string;
  format: 'qcow2' | 'raw';
  backing: { name: string; format: string };
}

/**
 * Lets the header have this backing name, durably: the caller has proven that the content is the
 * same.
 * @throws Retry `command-failed` when the disk has another name all the same; what fsync says
 */
export async function writeBackingName(
  deps: HostDeps,
  { path, format, backing }: Header,
): Promise<void> {
  if ((await backingNameOnDisk(path, format)) === backing.name) return;
  const before = await observeFile(path);
  await deps.effect('qemu-img.rebase', path, async () => {
    await rebaseUnsafe(path, format, backing);
    // A revert to a snapshot goes by it.
    if (before) await setModified({ path, identity: before.identity }, before.modifiedNs);
  });
  const found = await backingNameOnDisk(path, format);
  if (found === backing.name) return;
  throw retry('command-failed', {
    attempted: `writing ${backing.name} into the header of ${path} as its backing file`,
    now: `qemu-img reported no failure, but the disk has ${found ?? 'none'}: an Input/output error`,
    next: "Look at that disk and the host's kernel log",
  });
}
