/** The files that a qcow2 image names in its header (`qcow2-header.ts`), for who must not wait. */
import { constants } from 'node:fs';
import { open, stat } from '../files/calls.ts';
import { folderOf, nullIfMissing, type FilePath } from '../files/paths.ts';
import { namesAsRead, NONE, type FileNames } from './qcow2-header.ts';

const READ = constants.O_RDONLY | constants.O_NONBLOCK;

/** A drive may be empty, or not be there any more. */
const EMPTY = new Set(['ENOMEDIUM', 'ENXIO']);
const nullIfNoImage = (error: unknown) =>
  EMPTY.has((error as NodeJS.ErrnoException).code ?? '') ? null : nullIfMissing(error);

/** What is at a path that may hold an image. */
export type Holding = 'file' | 'device' | null;

export async function holdingOf(path: FilePath): Promise<Holding> {
  const facts = await stat(path).catch(nullIfMissing);
  if (facts?.isFile()) return 'file';
  return facts?.isBlockDevice() ? 'device' : null;
}

/**
 * Of a file or a block device: images of LVM are such.
 * @returns none for something else
 * @throws of the file system, for one that is there and cannot be read
 */
export async function namesIn(path: FilePath): Promise<FileNames> {
  // Opening a pipe would wait for its writer.
  if ((await holdingOf(path)) === null) return NONE;
  const file = await open(path, READ).catch(nullIfNoImage);
  if (!file) return NONE;
  try {
    const search = namesAsRead(folderOf(path));
    for (let step = search.next(); ;) {
      if (step.done) return step.value;
      const { at, length } = step.value;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
      step = search.next({ buffer, bytesRead });
    }
  } finally {
    await file.close();
  }
}
