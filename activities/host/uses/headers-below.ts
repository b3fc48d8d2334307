/**
 * What the files of a folder stand on, by their headers. Plans and proofs of one VM's disks ask at
 * the same time, and a folder may hold thousands of files: those who ask together look once.
 */
import { cureOf } from '../../../workflows/operation/cure.ts';
import { hold, ownFailure } from '../../../workflows/operation/failures.ts';
import { shell } from '../../../workflows/operation/names.ts';
import type { FilePath } from '../../adapters/files/paths.ts';
import { asking } from '../../adapters/process/asking.ts';
import { createTogether } from '../../adapters/process/together.ts';
import { readFolderHeaders } from '../../adapters/qemu-img/folder-headers.ts';
import { holdingOf, namesIn } from '../../adapters/qemu-img/names-in.ts';
import { NONE, type FileNames } from '../../adapters/qemu-img/qcow2-header.ts';
import { OWN_FOLDER } from '../../pool-folder/own-folder.ts';

export interface Headers {
  /** Those files that name another one. */
  named: readonly (FileNames & { file: Buffer })[];
  /** Folders that could not be searched, each with the reason. */
  notSearched: readonly string[];
  /** Why the folder itself cannot be searched, else null. */
  closed: Error | null;
}

const lookTogether = createTogether(look);

/**
 * Of the folder and those below it, as they are now: one search that began before the question is
 * waited for, and not taken for an answer.
 * @throws Hold `unproven` for a file that cannot be read; Retry `storage-silent`
 */
export const headersBelow = (folder: string): Promise<Headers> =>
  asking(`the headers of all files in ${folder}`, () => lookTogether(folder));

async function look(folder: string): Promise<Headers> {
  const found = await readFolderHeaders({ folder, without: OWN_FOLDER }).catch(ofFileSystem);
  if (found instanceof Error) return { named: [], notSearched: [], closed: found };
  if (found.unread) cannotTell(found.unread.file)(found.unread.error);
  const { named } = found;
  const notSearched = found.leftOut.map(({ folder: where, why }) => `${where} (${why})`);
  return { named, notSearched, closed: null };
}

/** A storage that is silent may answer later, and a thread that has ended says nothing of it. */
function ofFileSystem(error: Error): Error {
  if (ownFailure(error) || (error as NodeJS.ErrnoException).code === undefined) throw error;
  return error;
}

/** @param pool whose folder it is, else null */
export const cannotSearch = (folder: string, pool: string | null, error: Error) =>
  hold('unproven', {
    attempted: `looking which images in ${folder} stand on the volumes`,
    now:
      `${pool === null ? 'that folder' : `the folder of pool ${pool}`} cannot be read ` +
      `(${error.message}); nothing was done`,
    next:
      cureOf(error.message, 'Mount its file system again, or fix it') +
      (pool === null
        ? ''
        : `; if no image there needs the volumes: ${shell`virsh pool-destroy ${pool}`} stops the ` +
          'pool, which is left out then'),
  });

/**
 * @param leaveOut told of a device that cannot be read: a LUN without a path must not stop what
 * is about other VMs
 * @throws Hold `unproven` where that cannot be told
 */
export async function namesBelow(path: FilePath, leaveOut: LeaveOut): Promise<FileNames> {
  try {
    return await namesIn(path);
  } catch (error) {
    if ((await holdingOf(path).catch(() => null)) !== 'device') cannotTell(path)(error as Error);
    leaveOut(`${path.toString()} (${(error as Error).message})`);
    return NONE;
  }
}

/** Told of each place that was not searched, with the reason. */
export type LeaveOut = (where: string) => void;

export const cannotTell =
  (path: FilePath) =>
  (error: Error): never => {
    // A storage that is silent may answer later.
    if (ownFailure(error)) throw error;
    throw hold('unproven', {
      attempted: `looking what ${path.toString()} stands on`,
      now: `it cannot be read (${error.message}), so it may be one of the volumes or stand on one`,
      next: cureOf(error.message, 'Fix it, or take it out of the pool'),
    });
  };
