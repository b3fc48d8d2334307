/**
 * I16: nothing outside of a pool's folder is renamed, unlinked or written, whatever names and links
 * say.
 */
import { join } from 'node:path';
import { bug } from '../../workflows/failures.ts';
import { refusedImage } from '../../workflows/image-failures.ts';
import type { ImagePlan } from '../../workflows/image-schemas.ts';
import type { NamedVolume } from '../../workflows/schemas.ts';
import { canonical } from '../adapters/files.ts';
import { identityIn } from '../adapters/pool-identity.ts';
import { isFilePool, observePools, OWN_FOLDER, poolOf, type Pool } from '../adapters/pools.ts';
import type { Libvirt } from '../adapters/virsh.ts';
import { onThisHost, otherStorage } from '../pool-presence.ts';

/**
 * A volume of this host's pool, with its identity here.
 * @throws Retry `pool-away` when the pool of that name is another one here, or not mounted; Bug as
 * below
 */
export async function volumeInPool(
  pools: readonly Pool[],
  named: NamedVolume,
  attempted: string,
): Promise<NamedVolume> {
  const folder = pools.find(({ name }) => name === named.pool)?.folder;
  const volume = await onThisHost(named, attempted, folder ?? undefined);
  await assertInPool(pools, volume);
  return volume;
}

/** @throws Bug unless the path itself, and not what a link leads to, lies directly in its pool. */
async function assertInPool(
  pools: readonly Pool[],
  { path, pool: name }: NamedVolume,
): Promise<void> {
  const pool = poolOf(pools, path);
  const isIts = pool !== null && pool.name === name && isFilePool(pool);
  if (!isIts || (await canonical(path)) !== path) {
    throw bug(`${path} was to be changed, but is not directly inside pool ${name}`);
  }
  await assertNoLink(join(pool.folder, OWN_FOLDER));
}

/** @throws Bug when the folder of ours was replaced by a link to another one. */
export async function assertNoLink(folder: string): Promise<void> {
  if ((await canonical(folder)) !== folder) throw bug(`${folder} is a link; it was not followed`);
}

/** Folder of an active file pool. @throws Refused `unknown-pool` */
export async function folderOf(libvirt: Libvirt, name: string): Promise<string> {
  const pool = (await observePools(libvirt)).find((candidate) => candidate.name === name);
  if (pool && isFilePool(pool)) {
    await assertNoLink(join(pool.folder, OWN_FOLDER));
    return pool.folder;
  }
  throw refusedImage('unknown-pool', {
    attempted: `using pool ${name}`,
    now: pool ? `it is of type ${pool.type}` : 'no active pool has this name (any more)',
    next: `Start it with \`virsh pool-start ${name}\``,
  });
}

/** The target's folder, which must be where it was when the copy was planned. */
export async function targetOf(
  libvirt: Libvirt,
  { to }: Pick<ImagePlan, 'to'>,
): Promise<string> {
  const folder = await folderOf(libvirt, to.pool);
  if ((await identityIn(folder, to)) === null) {
    throw otherStorage(to.pool, folder, `using pool ${to.pool}`);
  }
  if (folder !== to.folder) throw bug(`pool ${to.pool} is not at ${to.folder}`);
  return folder;
}
