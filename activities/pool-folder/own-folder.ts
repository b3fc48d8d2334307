/**
 * `POOL/.blockflow/`, the folder that blockflow has in a pool: hosts and versions meet there. What
 * is in it, and who may change that: docs/protocol/pool-folder.md.
 */
import { join } from 'node:path';
import { nullIfMissing } from '../adapters/files/paths.ts';
import { ensureOwnedFolder, withOwnedFolder } from '../adapters/files/owned-folder.ts';

/** Folder of ours in a pool's folder: a pool lists what is in it nowhere. */
export const OWN_FOLDER = '.blockflow';

/** QEMU passes through it to a file that it is to open; no other user sees what is in it. */
export const PASSABLE = 0o711;

/**
 * Makes it. The pool's folder has to be there: nothing is made below a file system that is not
 * mounted.
 * @throws ENOENT; Hold `unproven` for one that another user may write in
 */
export const ensureOwnFolder = (poolFolder: string) =>
  ensureOwnedFolder(join(poolFolder, OWN_FOLDER), PASSABLE);

/**
 * What is in a folder of ours is taken for ours. One that is not there holds nothing.
 * @throws Hold `unproven` for a link, and for a folder that another user may write in
 */
export const assertOwn = (folder: string): Promise<void> =>
  withOwnedFolder(folder, () => Promise.resolve())
    .catch(nullIfMissing)
    .then(() => undefined);
