/** What a host knows of the use of volumes that an operation of another host is about. */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { chainOnHost } from '../../../workflows/chain/activities.ts';
import { basename, dirname, join } from 'node:path';
import { refused } from '../../../workflows/operation/failures.ts';
import type { VolumeUse } from '../../../workflows/chain/schemas.ts';
import type { NamedVolume } from '../../../workflows/chain/references.ts';
import { observeFile } from '../../adapters/files/files.ts';
import {
  namesakeIn,
  observeHosts,
  ONE_INSTALLATION,
  OTHER_NAME,
  strangerIn,
} from '../../pool-folder/hosts.ts';
import { identityIn, inodeOf } from '../../pool-folder/id.ts';
import { observePools, type Pool } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { observeReferences } from './references.ts';

/** Who refers to the volumes here: domains, snapshots, chains in pools that the asker may lack. */
export async function observeUses(
  deps: HostDeps,
  { volumes }: InputOf<typeof chainOnHost, 'observeUses'>,
): Promise<VolumeUse[]> {
  const pools = await observePools(deps.libvirt);
  const found = await Promise.all(volumes.map((volume) => sameFiles(pools, volume)));
  return (await observeReferences(deps, { volumes: found.flat(), pools, owner: null })).uses;
}

/**
 * A file that another host has named, by its identities here. A file of a pool without an id is
 * known by name and inode alone: a shared file system has another device number, and perhaps
 * another mount point, on each host.
 */
async function sameFiles(pools: readonly Pool[], volume: NamedVolume): Promise<NamedVolume[]> {
  const folders = new Set([dirname(volume.path), ...pools.flatMap(({ folder }) => folder ?? [])]);
  const found = [...folders].map(async (folder) => {
    const path = join(folder, basename(volume.path));
    const identity = await identityIn(folder, volume);
    if (identity !== volume.identity) return identity === null ? [] : { ...volume, path, identity };
    const file = await observeFile(path);
    const isSameFile = file !== null && inodeOf(file.identity) === inodeOf(identity);
    return isSameFile ? { ...volume, path, identity: file.identity } : [];
  });
  return (await Promise.all(found)).flat();
}

/**
 * The hosts beside this one that share a pool with these volumes.
 * @throws Refused: `other-machine` where another machine has this host's name, and
 * `other-installation` where one works for another Temporal namespace: they would not be asked
 */
export async function otherHosts(
  own: Pick<HostDeps, 'host' | 'machine' | 'installation'>,
  volumes: readonly { path: string }[],
): Promise<string[]> {
  const folders = [...new Set(volumes.map(({ path }) => dirname(path)))];
  const hosts = new Set<string>();
  for (const folder of folders) {
    const names = await observeHosts(folder);
    const [namesake, stranger] = await Promise.all([
      namesakeIn(folder, own),
      strangerIn(folder, names, own),
    ]);
    names.forEach((name) => hosts.add(name));
    if (namesake === null && stranger === null) continue;
    throw refused(namesake === null ? 'other-installation' : 'other-machine', {
      attempted: `looking for the hosts that share ${folder}`,
      now: `${namesake ?? stranger}, and could not be asked; nothing was touched`,
      next: namesake === null ? ONE_INSTALLATION : OTHER_NAME,
    });
  }
  return [...hosts].filter((name) => name !== own.host);
}
