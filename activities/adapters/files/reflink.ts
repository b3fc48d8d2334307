/** Copies that share their data with the source. */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, rename } from './calls.ts';

/** Characters that the name of a clone has more than the target's; a name has room for them. */
export const CLONE_ENDING = 5;

/**
 * Shares the data of `source` with `target`, at once and without space, where the file system can
 * (xfs, btrfs).
 * @returns false where it cannot
 */
export async function reflink(source: string, target: string): Promise<boolean> {
  // Under a name of its own: libuv empties a file that is there, and unlinks one that fails.
  const clone = `${target}.${randomUUID().slice(0, CLONE_ENDING)}`;
  const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = constants;
  try {
    await copyFile(source, clone, COPYFILE_EXCL | COPYFILE_FICLONE_FORCE);
    await rename(clone, target);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOSYS', 'ENOTTY'].includes(code))
      return false;
    throw error;
  }
}
