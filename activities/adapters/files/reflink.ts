/** Copies that share their data with the source. */
import { constants } from 'node:fs';
import { copyFile, rename } from 'node:fs/promises';

/**
 * Shares the data of `source` with `target`, at once and without space, where the file system can
 * (xfs, btrfs).
 * @returns false where it cannot
 */
export async function reflink(source: string, target: string): Promise<boolean> {
  // Under a name of its own: libuv unlinks the target of a clone that fails.
  const clone = `${target}.clone`;
  try {
    await copyFile(source, clone, constants.COPYFILE_FICLONE_FORCE);
    await rename(clone, target);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOSYS', 'ENOTTY'].includes(code))
      return false;
    throw error;
  }
}
