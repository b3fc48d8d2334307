/** The files that a qcow2 file names in its header (`qcow2-header.ts`), for who must not wait. */
import { open, stat } from '../files/calls.ts';
import { folderOf, nullIfMissing, type FilePath } from '../files/paths.ts';
import { namesAsRead, NONE, type FileNames } from './qcow2-header.ts';

/**
 * None for something else, or no file.
 * @throws of the file system, for a file that is there and cannot be read
 */
export async function namesIn(path: FilePath): Promise<FileNames> {
  // Opening a pipe would wait for its writer.
  const facts = await stat(path).catch(nullIfMissing);
  const file = facts?.isFile() ? await open(path, 'r').catch(nullIfMissing) : null;
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
