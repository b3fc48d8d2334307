/** What must be true of a pool's folder, and of its files, before they may be changed. */
import { cureOf } from '../../../workflows/operation/cure.ts';
import { refused } from '../../../workflows/operation/failures.ts';
import { obstacleToChange } from '../../adapters/files/rights.ts';
import { otherMachine, runItThere } from '../../pool-folder/own-machine.ts';
import { isFull } from '../../pool-folder/probes.ts';
import type { HostDeps } from '../deps.ts';

/**
 * libvirt sees the same folders as this agent, which may write there.
 * @throws Refused: other-machine, read-only-pool
 */
export async function assertUsable(
  { libvirt }: HostDeps,
  attempted: string,
  folders: readonly string[],
): Promise<void> {
  for (const folder of new Set(folders)) {
    const other = await otherMachine(libvirt, folder).catch(unwritable(attempted, folder));
    if (other === null) continue;
    throw refused('other-machine', {
      attempted,
      now: `${other}; nothing was touched`,
      next: runItThere(other),
    });
  }
}

/**
 * Not so where a file is immutable, which neither its rights nor root's tell.
 * @throws Refused `read-only-pool`
 */
export async function assertChangeable(
  attempted: string,
  files: readonly { path: string }[],
): Promise<void> {
  for (const { path } of files) {
    const why = await obstacleToChange(path);
    if (why === null) continue;
    throw refused('read-only-pool', {
      attempted,
      now: `${path} cannot be changed (${why}); nothing was touched`,
      next: cureOf(why, 'Let the agent change it'),
    });
  }
}

const unwritable = (attempted: string, folder: string) => (error: NodeJS.ErrnoException) => {
  // Where nothing more can be written, there may be space later.
  if (isFull(error)) return null;
  if (!['EROFS', 'EACCES', 'EPERM'].includes(error.code ?? '')) throw error;
  throw refused('read-only-pool', {
    attempted,
    now: `the agent cannot write in ${folder} (${error.message}); nothing was touched`,
    next: cureOf(error.message, 'Let the agent write there'),
  });
};
