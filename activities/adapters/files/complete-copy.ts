/** The first and the last of a copy that a copying daemon makes: its empty file, and its tail. */
import type { FileHandle } from './calls.ts';
import { copyExtended, copyRights, copyTimes } from './attributes.ts';
import { withOpen, writeAll } from './files.ts';
import { withOwnedFile } from './owned-folder.ts';

/** Empties the file and gives it this length, all holes. */
export async function resetFile(path: string, sizeBytes: number): Promise<void> {
  await withOwnedFile(path, async (file) => {
    await file.truncate(0);
    await file.truncate(sizeBytes);
  });
}

/**
 * Makes a copied file whole and durable: the rest after `copiedBytes` and the exact length, unless
 * it is no copy of the file's bytes; the source's owner, mode, ACL, extended attributes and times.
 * QEMU rounds lengths up to 512 bytes, and a qcow2 file may end anywhere.
 * @returns false when there is no space for the rest; nothing is lost, it may be tried again
 */
export async function completeCopy(
  source: string,
  target: string,
  lengths: { copiedBytes: number; sizeBytes: number } | null,
): Promise<boolean> {
  const tail = lengths && (await readTail(source, lengths.copiedBytes, lengths.sizeBytes));
  return withOwnedFile(target, async (file) => {
    if (tail && !(await writeTail(file, tail, lengths.copiedBytes))) return false;
    if (tail) await file.truncate(lengths.sizeBytes);
    await copyRights(source, file);
    // The plan says where they cannot follow.
    await copyExtended(source, file).catch(() => undefined);
    await copyTimes(source, file).catch(() => undefined);
    await file.sync();
    return true;
  });
}

/** Only of a write is ENOSPC no loss: of a flush it means that written data is gone. */
async function writeTail(file: FileHandle, tail: Buffer, position: number): Promise<boolean> {
  try {
    await writeAll(file, tail, position);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}

async function readTail(path: string, from: number, to: number): Promise<Buffer> {
  const tail = Buffer.alloc(to - from);
  const { bytesRead } = await withOpen(path, (file) => file.read(tail, 0, tail.length, from));
  if (bytesRead !== tail.length) throw new Error(`${path} is shorter than ${to} bytes`);
  return tail;
}
