/**
 * Names of files, and what it means that there is none: without any call, so that a thread can load
 * it in no time.
 */
import { dirname, isAbsolute, resolve } from 'node:path';

/** Text where libvirt gave the name; bytes, perhaps no UTF-8, where a folder or a header did. */
export type FilePath = string | Buffer;

/** The folder of an absolute path, as bytes. */
export const folderOf = (path: FilePath): Buffer =>
  Buffer.from(dirname(Buffer.from(path).toString('latin1')), 'latin1');

/**
 * What a name leads to from a folder, as QEMU and the kernel take it: `..` is what is above the
 * folder that a link leads to, so it is left to the kernel.
 */
export function nameFrom(folder: string, name: string): string {
  const path = isAbsolute(name) ? name : `${folder}/${name}`;
  return path.split('/').includes('..') ? path : resolve(path);
}

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
