/**
 * Names of files, and what it means that there is none: without any call, so that a thread can load
 * it in no time.
 */
import { dirname } from 'node:path';

/** Text where libvirt gave the name; bytes, perhaps no UTF-8, where a folder or a header did. */
export type FilePath = string | Buffer;

/** The folder of an absolute path, as bytes. */
export const folderOf = (path: FilePath): Buffer =>
  Buffer.from(dirname(Buffer.from(path).toString('latin1')), 'latin1');

/** A name that no file can have is as good as missing: a guest may have put it into a header. */
const ABSENT = new Set([
  ...['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP'],
  // Node's, for a name with a zero byte.
  'ERR_INVALID_ARG_VALUE',
]);
const missing = (error: unknown) => ABSENT.has((error as NodeJS.ErrnoException).code ?? '');
export const nullIfMissing = (error: unknown) => {
  if (missing(error)) return null;
  throw error;
};
