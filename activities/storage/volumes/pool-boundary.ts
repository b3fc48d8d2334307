/**
 * I16: nothing outside of a pool's folder is renamed, unlinked or written, whatever names and links
 * say.
 */
import { join } from 'node:path';
import { bug, retry } from '../../../workflows/operation/failures.ts';
import type { ImagePlan } from '../../../workflows/transfer/plan.ts';
import type { NamedVolume } from '../../../workflows/chain/references.ts';
import { canonical } from '../../adapters/files/files.ts';
import { identityIn, isByPoolId } from '../../pool-folder/id.ts';
import {
  isFilePool,
  observePools,
  poolOf,
  type FilePool,
  type Pool,
} from '../../adapters/virsh/pools.ts';
import { assertOwn, OWN_FOLDER } from '../../pool-folder/own-folder.ts';
import { reservationFolder } from '../../pool-folder/reservation.ts';
import type { Libvirt } from '../../adapters/virsh/domains.ts';
import { onThisHost, otherStorage } from '../../pool-folder/presence.ts';
import { shell } from '../../../workflows/operation/names.ts';

/**
 * A volume of this host's pool, with its identity here.
 * @throws Retry `pool-away` when the pool of that name is not active, another one here, or not
 * mounted; Bug as below
 */
export async function volumeInPool(
  pools: readonly Pool[],
  named: NamedVolume,
  attempted: string,
): Promise<NamedVolume> {
  const { folder } = activePool(pools, named.pool, attempted);
  assertByPoolId(named, named.path);
  const volume = await onThisHost(named, attempted, folder);
  await assertInPool(pools, volume);
  await assertOwn(join(folder, OWN_FOLDER));
  return volume;
}

/** By a device number, this host could take another file for it. @throws Bug */
function assertByPoolId({ identity }: { identity: string }, path: string): void {
  if (!isByPoolId(identity)) throw bug(`${path} is not named by the id of its pool`);
}

/** @throws Bug unless the path itself, and not what a link leads to, lies directly in its pool. */
async function assertInPool(
  pools: readonly Pool[],
  { path, pool: name }: NamedVolume,
): Promise<void> {
  const pool = poolOf(pools, path);
  const isInItsPool = pool !== null && pool.name === name && isFilePool(pool);
  if (!isInItsPool || (await canonical(path)) !== path) {
    throw bug(`${path} was to be changed, but is not directly inside pool ${name}`);
  }
}

/** @throws Retry `pool-away`: it was active when the operation was planned */
function activePool(pools: readonly Pool[], name: string, attempted: string): FilePool {
  const pool = pools.find((candidate) => candidate.name === name);
  if (pool && isFilePool(pool)) return pool;
  throw retry('pool-away', {
    attempted,
    now: pool ? `pool ${name} is of type ${pool.type} now` : `pool ${name} is not active`,
    next: pool
      ? 'Define it as the pool of its folder again; blockflow goes on by itself'
      : `Start it with ${shell`virsh pool-start ${name}`}; blockflow goes on by itself`,
  });
}

/**
 * The target's folder, which must be where it was when the copy was planned; what is of ours in it,
 * also of this job, is ours alone.
 * @throws Retry `pool-away`; Bug for another place; Hold `unproven` for a folder of another user
 */
export async function targetFolder(
  libvirt: Libvirt,
  { to, jobId }: { to: ImagePlan['to']; jobId: string },
): Promise<string> {
  const attempted = `using pool ${to.pool}`;
  const { folder } = activePool(await observePools(libvirt), to.pool, attempted);
  await assertOwn(join(folder, OWN_FOLDER));
  await assertOwn(reservationFolder(folder, jobId));
  assertByPoolId(to, folder);
  if ((await identityIn(folder, to)) === null) throw otherStorage(to.pool, folder, attempted);
  if (folder !== to.folder) throw bug(`pool ${to.pool} is not at ${to.folder}`);
  return folder;
}
