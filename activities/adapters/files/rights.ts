/** Who may read a file: the kernel alone says so, or also a server or another program. */
import { constants } from 'node:fs';
import { access, statfs } from './calls.ts';
import { GFS2, LOCAL, OCFS2 } from './file-systems.ts';

/**
 * Where a process with CAP_DAC_READ_SEARCH reads every file. NFS, CIFS, Ceph and FUSE go by the
 * user.
 */
const BY_KERNEL = new Set<number>([...LOCAL, GFS2, OCFS2]);

/** @throws what statfs(2) says, as for a file that is not there */
export async function isReadByRight(paths: readonly string[]): Promise<boolean> {
  const types = await Promise.all(paths.map(async (path) => (await statfs(path)).type));
  return types.every((type) => BY_KERNEL.has(type));
}

const REFUSALS = ['EACCES', 'EPERM', 'EROFS'];

/** @returns why this process may not write to it, in words; null when it may, or it is not there */
export async function obstacleToChange(path: string): Promise<string | null> {
  try {
    await access(path, constants.W_OK);
    return null;
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    if (REFUSALS.includes(code)) return message;
    throw error;
  }
}
