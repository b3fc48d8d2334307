/**
 * Names of files that last. A device number changes with a reboot or a mount, and on NFS differs
 * between hosts, so each pool has an id of its own: a UUID in `POOL/.blockflow/id`, written once by
 * the first host agent that sees the pool.
 */
import { dirname, join } from 'node:path';
import { retry } from '../../workflows/operation/failures.ts';
import { UUID } from '../../workflows/operation/names.ts';
import type { NamedVolume } from '../../workflows/chain/references.ts';
import { observeFile, readText, writeWhole } from '../adapters/files/files.ts';
import { unlessSilent } from '../adapters/process/asking.ts';
import { ensureOwnFolder, OWN_FOLDER } from './own-folder.ts';

export const idFile = (poolFolder: string) => join(poolFolder, OWN_FOLDER, 'id');

/** Durable when it returns. Nothing happens when the pool has one. */
export async function ensurePoolId(poolFolder: string, id: string): Promise<void> {
  if (await observeFile(idFile(poolFolder))) return;
  await ensureOwnFolder(poolFolder);
  await writeWhole(idFile(poolFolder), `${id}\n`, { ifThere: 'keep' });
}

/**
 * Null in a folder that is no pool, or whose file system is not mounted.
 * @throws Retry `storage-silent`
 */
export async function observePoolId(folder: string): Promise<string | null> {
  const id = (await readText(idFile(folder)).catch(unlessSilent(''))).trim();
  return UUID.test(id) ? id : null;
}

/** `device:inode` as `pool id:inode`; as it is where the folder is no pool with an id. */
async function lastingIdentity(folder: string, identity: string): Promise<string> {
  const [id, facts] = await Promise.all([observePoolId(folder), observeFile(folder)]);
  const isOfFolder = deviceOf(facts?.identity ?? '') === deviceOf(identity);
  return id !== null && isOfFolder ? `${id}:${inodeOf(identity)}` : identity;
}

/**
 * As `lastingIdentity`, for what the SPM agent of the pool is to change: by a device number it
 * could take another file for it, or believe that it is gone.
 * @param pool null where the folder is no pool
 * @throws Retry `pool-away` until a host agent has given the pool its id
 */
export async function identityOfPool(
  { pool, folder }: { pool: string | null; folder: string },
  identity: string,
): Promise<string> {
  const lasting = await lastingIdentity(folder, identity);
  if (!pool || isByPoolId(lasting)) return lasting;
  throw retry('pool-away', {
    attempted: `naming the files of pool ${pool}`,
    now: `pool ${pool} at ${folder} has no id (its .blockflow/id is missing), nothing was done`,
    next:
      'A host agent that has the pool writes one within 5 s, and blockflow goes on by itself; ' +
      'if it stays, `blockflow doctor` tells why',
  });
}

/** A volume as every host and every later run knows it, which is only looked at. */
export const lookedAt = async ({ path, pool, identity }: Named): Promise<NamedVolume> => ({
  path,
  pool: pool ?? '',
  identity: await lastingIdentity(dirname(path), identity),
});

/** As above, to be changed. @throws as `identityOfPool` */
export const nameVolume = async ({ path, pool, identity }: Named): Promise<NamedVolume> => ({
  path,
  pool: pool ?? '',
  identity: await identityOfPool({ pool, folder: dirname(path) }, identity),
});
type Named = Omit<NamedVolume, 'pool'> & { pool: string | null };

/**
 * `device:inode` of the folder, or of a file in it, that has this name everywhere; null when the
 * folder is not that pool, or not mounted.
 */
export async function identityIn(
  folder: string,
  { identity }: Pick<NamedVolume, 'identity'>,
): Promise<string | null> {
  const pool = deviceOf(identity);
  if (!isByPoolId(identity)) return identity;
  const [id, facts] = await Promise.all([observePoolId(folder), observeFile(folder)]);
  return facts && id === pool ? `${deviceOf(facts.identity)}:${inodeOf(identity)}` : null;
}

/** Whether every host knows it by that: not by a device number of one. */
export const isByPoolId = (identity: string) => UUID.test(deviceOf(identity));

/** The part before the inode: a device number, or a pool's id. */
export const deviceOf = (identity: string) => identity.split(':')[0] ?? '';
export const inodeOf = (identity: string) => identity.split(':')[1] ?? '';
