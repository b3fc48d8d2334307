/** What a host knows of the use of volumes that an operation of another host is about. */
import { basename, dirname, join } from 'node:path';
import type { ImageHostActivities, VolumeUse } from '../../workflows/move-contract.ts';
import type { NamedVolume } from '../../workflows/schemas.ts';
import { observeFile } from '../adapters/files.ts';
import { observeHosts } from '../adapters/pool-hosts.ts';
import { observePools, type Pool } from '../adapters/pools.ts';
import type { HostDeps } from './deps.ts';
import { observeReferences } from './image-references.ts';

/** Who refers to the volumes here: domains, snapshots, chains in pools that the asker may lack. */
export async function observeUses(
  deps: HostDeps,
  { volumes }: Parameters<ImageHostActivities['observeUses']>[0],
): Promise<VolumeUse[]> {
  const pools = await observePools(deps.libvirt);
  const found = await Promise.all(volumes.map((volume) => sameFiles(pools, volume)));
  const files = new Set(found.flat());
  return observeReferences(deps, { files, pools, owner: null });
}

const inodeOf = (identity: string) => identity.split(':')[1];

/**
 * The identities here of a file that another host has named: a shared file system keeps the inode's
 * number, but has another device number, and perhaps another mount point, on each host.
 */
async function sameFiles(pools: readonly Pool[], { path, identity }: NamedVolume) {
  const folders = new Set([dirname(path), ...pools.flatMap(({ folder }) => folder ?? [])]);
  const names = [...folders].map((folder) => join(folder, basename(path)));
  const facts = await Promise.all(names.map((name) => observeFile(name)));
  return facts.flatMap((file) =>
    file && inodeOf(file.identity) === inodeOf(identity) ? [file.identity] : [],
  );
}

/** The hosts beside this one that share a pool with these volumes. */
export async function otherHosts(
  own: string,
  volumes: readonly { path: string }[],
): Promise<string[]> {
  const folders = [...new Set(volumes.map(({ path }) => dirname(path)))];
  const hosts = (await Promise.all(folders.map(observeHosts))).flat();
  return [...new Set(hosts)].filter((host) => host !== own);
}
