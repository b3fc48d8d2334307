/**
 * Backing names in headers, as the disk has them. `qemu-img rebase -u` exits 0 even when the disk
 * has refused the header: only its flush at the end is told of the error, later ones succeed, and
 * the page cache shows the new name until it is read anew (DESIGN.md 6).
 */
import { retry } from '../../../workflows/operation/failures.ts';
import { run } from '../process/command.ts';
import { syncPath } from '../files/files.ts';
import { readHeader, rebaseUnsafe } from './qemu-img.ts';

interface Header {
  path: string;
  format: 'qcow2' | 'raw';
  backing: { name: string; format: string };
}

/**
 * Lets the header have this backing name, durably: the caller has proven that the content is the
 * same.
 * @param change stands around the one command that changes the file
 * @throws Retry `command-failed` when the disk has another name all the same; what fsync says
 */
export async function ensureBackingName(
  { path, format, backing }: Header,
  change: (rebase: () => Promise<void>) => Promise<void>,
): Promise<void> {
  if ((await backingNameOnDisk(path, format)) === backing.name) return;
  await change(() => rebaseUnsafe(path, format, backing));
  const found = await backingNameOnDisk(path, format);
  if (found === backing.name) return;
  throw retry('command-failed', {
    attempted: `writing ${backing.name} into the header of ${path} as its backing file`,
    now: `qemu-img reported no failure, but the disk has ${found ?? 'none'}: an Input/output error`,
    next: "Look at that disk and the host's kernel log",
  });
}

async function backingNameOnDisk(path: string, format: Header['format']): Promise<string | null> {
  await syncPath(path);
  await forgetFirstCluster(path);
  return (await readHeader(path, format)).backingName;
}

/** What the page cache holds of it; no cluster is larger, and the name is in the first. */
const forgetFirstCluster = (path: string) =>
  run('dd', [`if=${path}`, 'of=/dev/null', 'iflag=nocache', 'bs=2M', 'count=1', 'status=none']);
