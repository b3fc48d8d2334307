/** Makes the storage pool of a folder: `blockflow pool add` and `doctor --fix`. */
import { basename } from 'node:path';
import { canonical, observeFile } from '../../activities/adapters/files/files.ts';
import { createLibvirt, type Libvirt } from '../../activities/adapters/virsh/domains.ts';
import { parsePool, type Pool } from '../../activities/adapters/virsh/pools.ts';
import { CommandError } from '../../activities/adapters/process/command.ts';

export interface AddedPool {
  pool: string;
  folder: string;
  /** `started`: libvirt had it, inactive. */
  outcome: 'added' | 'started' | 'already-done';
}

/** Why there is no pool; libvirt has what it had. */
export class PoolNotAdded extends Error {
  override readonly name = 'PoolNotAdded';
  readonly code: 'invalid-request' | 'name-taken' | 'command-failed';
  readonly next: string;

  constructor(code: PoolNotAdded['code'], now: string, next: string) {
    super(now);
    this.code = code;
    this.next = next;
  }
}

/**
 * Defines, starts and autostarts a pool of type `dir`; one that the folder has is started.
 * @param folder absolute
 * @param name null: the folder's own
 * @throws PoolNotAdded
 */
export async function addPool(
  uri: string,
  folder: string,
  name: string | null = null,
): Promise<AddedPool> {
  const libvirt = createLibvirt(uri);
  try {
    return await add(libvirt, await canonical(folder), name);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const next = 'See `virsh pool-list --all`; the same command completes what was begun';
    throw new PoolNotAdded('command-failed', `libvirt says: ${error.stderr}`, next);
  } finally {
    libvirt.close();
  }
}

async function add(libvirt: Libvirt, folder: string, given: string | null): Promise<AddedPool> {
  const [all, active] = await Promise.all([poolsOf(libvirt, 'all'), poolsOf(libvirt, 'active')]);
  const there = all.find((pool) => pool.folder === folder);
  const pool = there?.name ?? given ?? (basename(folder) || 'images');
  if (there && active.some(({ name }) => name === pool)) {
    return { pool, folder, outcome: 'already-done' };
  }
  if (!there) await define(libvirt, { pool, folder, all });
  await libvirt.startPool(pool);
  return { pool, folder, outcome: there ? 'started' : 'added' };
}

async function define(
  libvirt: Libvirt,
  { pool, folder, all }: { pool: string; folder: string; all: readonly Pool[] },
): Promise<void> {
  if (!(await observeFile(`${folder}/`))) {
    const now = `there is no folder ${folder}; nothing was done`;
    throw new PoolNotAdded('invalid-request', now, 'Make it, or mount it, first');
  }
  const other = all.find(({ name }) => name === pool);
  if (other) {
    const now = `libvirt has a pool ${pool} of ${other.folder ?? other.type}; nothing was done`;
    throw new PoolNotAdded('name-taken', now, 'Choose another name with --name');
  }
  await libvirt.definePool(pool, folder);
}

const poolsOf = async (libvirt: Libvirt, which: 'all' | 'active'): Promise<Pool[]> =>
  Promise.all((await libvirt.poolXml(which)).map(parsePool));
