/**
 * What the files of a folder stand on, by their headers. Plans and proofs of one VM's disks ask at
 * the same time, and a folder may hold thousands of files: those who ask together look once.
 */
import { cureOf } from '../../../workflows/operation/cure.ts';
import { failureDetails, hold, ownFailure, retry } from '../../../workflows/operation/failures.ts';
import { shell } from '../../../workflows/operation/names.ts';
import type { FilePath } from '../../adapters/files/paths.ts';
import { asking } from '../../adapters/process/asking.ts';
import { createTogether } from '../../adapters/process/together.ts';
import { readFolderHeaders } from '../../adapters/qemu-img/folder-headers.ts';
import type { FileNames } from '../../adapters/qemu-img/qcow2-header.ts';
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

/** Who names a file that is looked for, in words, and what would end that. */
export interface Namer {
  by: string;
  /** An imperative clause. */
  release: string;
}

/** @throws Hold `unproven`; Retry `storage-silent`: the storage may answer later */
export const cannotTell =
  (path: FilePath, namer?: Namer) =>
  (error: Error): never => {
    const own = failureDetails(error);
    if (own && (own.details.code !== 'storage-silent' || !namer)) throw error;
    const names = namer ? `, which ${namer.by} names,` : '';
    const cure = own?.details.next ?? cureOf(error.message, 'Mount its file system again');
    const words = {
      attempted: `looking what ${path.toString()}${names} stands on`,
      now:
        `it cannot be read (${own?.details.now ?? error.message}), so it may be one of the ` +
        'volumes or stand on one',
      next: namer
        ? `${cure}; if it has nothing to do with the volumes: ${namer.release}`
        : cureOf(error.message, 'Fix it, or take it out of the pool'),
    };
    throw own ? retry('storage-silent', words) : hold('unproven', words);
  };
