/**
 * Backing names in headers, as the disk has them. `qemu-img rebase -u` exits 0 even when the disk
 * has refused the header: only its flush at the end is told of the error, later ones succeed, and
 * the page cache shows the new name until it is read again (docs/lab/qemu.md).
 */
import { run } from '../process/command.ts';
import { syncPath } from '../files/files.ts';
import { readHeader } from './qemu-img.ts';

/** The name that the header has on the disk. @throws what fsync says */
export async function backingNameOnDisk(
  path: string,
  format: 'qcow2' | 'raw',
): Promise<string | null> {
  await syncPath(path);
  await forgetFirstCluster(path);
  return (await readHeader(path, format)).backingName;
}

/** What the page cache holds of it; no cluster is larger, and the name is in the first. */
const forgetFirstCluster = (path: string) =>
  run('dd', [`if=${path}`, 'of=/dev/null', 'iflag=nocache', 'bs=2M', 'count=1', 'status=none']);
