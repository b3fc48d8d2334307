/**
 * `POOL/.blockflow/`, the folder that blockflow has in a pool: hosts and versions meet there. What
 * is in it, and who may change that: docs/protocol/pool-folder.md.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Folder of ours in a pool's folder: a pool lists what is in it nowhere. */
export const OWN_FOLDER = '.blockflow';

/**
 * Makes it. The pool's folder has to be there: nothing is made below a file system that is not
 * mounted.
 * @throws ENOENT
 */
export const ensureOwnFolder = (poolFolder: string) =>
  mkdir(join(poolFolder, OWN_FOLDER)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
