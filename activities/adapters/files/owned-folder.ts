/**
 * Folders that are of one user alone. Who may write in a folder may put a link, or another file,
 * where a file of ours is looked for; so what is in a folder is trusted as far as the folder is.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, unlink, type FileHandle } from './calls.ts';
import { basename, dirname } from 'node:path';
import { hold } from '../../../workflows/operation/failures.ts';

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;
const WRITABLE_BY_OTHERS = 0o022;

/** Names below an open folder, whatever has the name of that one now. */
const below = (folder: FileHandle, name: string) => `/proc/self/fd/${folder.fd}/${name}`;

/**
 * Lends the open folder once it is known to be ours alone: no link, owned by root or this user,
 * and not writable by others.
 * @throws Hold `unproven`; ENOENT and others of the file system
 */
export async function withOwnedFolder<T>(
  path: string,
  use: (folder: FileHandle) => Promise<T>,
): Promise<T> {
  const folder = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(notAFolder(path));
  try {
    const { uid, mode } = await folder.stat();
    if ((mode & WRITABLE_BY_OTHERS) !== 0) {
      throw foreign(path, `others may write in ${path} (mode ${(mode & 0o7777).toString(8)})`);
    }
    if (uid !== 0 && uid !== process.geteuid?.() && uid !== (await ownerOfNew(folder))) {
      throw foreign(path, `${path} belongs to user ${uid}`);
    }
    return await use(folder);
  } finally {
    await folder.close();
  }
}

const notAFolder = (path: string) => (error: NodeJS.ErrnoException) => {
  const isOther = error.code === 'ELOOP' || error.code === 'ENOTDIR';
  throw isOther ? foreign(path, `${path} is a link, or no folder`) : error;
};

const foreign = (path: string, now: string) =>
  hold('unproven', {
    attempted: `using ${path}`,
    now: `${now}, so another user may have put there what is in it; nothing was touched`,
    next:
      'See who made it so. If all in it is right, give it to the user of the agents and let no ' +
      'other write there (`chown`, `chmod 711`); then repeat the request',
  });

/** Whose a new file in it is: on NFS a server may give root's files to another user. */
async function ownerOfNew(folder: FileHandle): Promise<number | null> {
  const probe = below(folder, `.${randomUUID()}`);
  const file = await open(probe, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600).catch(() => null);
  if (!file) return null;
  try {
    return (await file.stat()).uid;
  } finally {
    await file.close();
    await unlink(probe);
  }
}

/**
 * Lends a regular file for writing, which is in a folder of ours: the file that is open is the one
 * that is written, whatever has its name by then.
 * @throws Hold `unproven`; of the file system
 */
export const withOwnedFile = <T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> =>
  withOwnedFolder(dirname(path), async (folder) => {
    // A fifo would wait for a reader.
    const file = await open(below(folder, basename(path)), O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    try {
      if (!(await file.stat()).isFile()) throw foreign(path, `${path} is no regular file`);
      return await use(file);
    } finally {
      await file.close();
    }
  });

/**
 * Makes a folder of ours, or takes the rights of others from one that is there: an earlier version
 * made it as the umask said. What is above it has to be there.
 * @throws Hold `unproven`; of the file system
 */
export async function ensureOwnedFolder(path: string, mode: number): Promise<void> {
  await mkdir(path, { mode }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const folder = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(notAFolder(path));
  try {
    const found = await folder.stat();
    const isOurs = found.uid === process.geteuid?.();
    if (isOurs && (found.mode & 0o777) !== mode) await folder.chmod(mode);
  } finally {
    await folder.close();
  }
  await withOwnedFolder(path, () => Promise.resolve());
}
