/**
 * What stands on volumes, by the headers on storage. Files are compared by identity, so that links
 * and hard links cannot hide one.
 */
import { dirname, join } from 'node:path';
import { hold } from '../../../workflows/operation/failures.ts';
import { listFolder, observeFile } from '../../adapters/files/files.ts';
import type { Pool } from '../../adapters/virsh/pools.ts';
import { namesIn } from '../../adapters/qemu-img/qcow2-header.ts';

/** `device:inode` of each. */
export type Identities = ReadonlySet<string>;

interface File {
  path: string;
  identity: string;
}

export const identitiesOf = (volumes: readonly Pick<File, 'identity'>[]): Identities =>
  new Set(volumes.map((volume) => volume.identity));

/** @throws Hold `unproven` where that cannot be told */
export async function isOneOf(files: Identities, path: string): Promise<boolean> {
  const facts = await observeFile(path).catch(cannotTell(path));
  return facts !== null && files.has(facts.identity);
}

/**
 * The first of the files at or below `source`, null when there is none: a VM that is down names its
 * active layer only.
 * @throws Hold `unproven`
 */
export async function firstIn(files: Identities, source: string): Promise<string | null> {
  const seen = new Set<string>();
  for (let path: string | null = source; path && !seen.has(path);) {
    if (await isOneOf(files, path)) return path;
    seen.add(path);
    const { backing, dataFile } = await below(path);
    if (dataFile !== null && (await isOneOf(files, dataFile))) return dataFile;
    path = backing;
  }
  return null;
}

interface Search {
  pools: readonly Pool[];
  /**
   * These may stand on each other. Their own folders are looked through whether or not a pool is
   * active there (any more).
   */
  volumes: readonly File[];
}

/**
 * Other chains on these files.
 * @returns each child with the name that its header has for the file
 * @throws Hold `unproven`
 */
export async function childrenOf(
  files: Identities,
  { pools, volumes }: Search,
): Promise<{ child: string; path: string }[]> {
  const children: { child: string; path: string }[] = [];
  const family = identitiesOf(volumes);
  const own = volumes.map(({ path }) => dirname(path));
  for (const folder of new Set([...pools.flatMap((pool) => pool.folder ?? []), ...own])) {
    for (const name of await listFolder(folder)) {
      const child = join(folder, name);
      const { backing, dataFile } = await below(child);
      for (const path of [backing, dataFile]) {
        if (path === null || !(await isOneOf(files, path))) continue;
        if (!(await isOneOf(family, child))) children.push({ child, path });
      }
    }
  }
  return children;
}

const below = (path: string) => namesIn(path).catch(cannotTell(path));

const cannotTell = (path: string) => (error: Error) => {
  throw hold('unproven', {
    attempted: `looking what ${path} stands on`,
    now: `it cannot be read (${error.message}), so it may be one of the volumes or stand on one`,
    next: 'Fix it, or take it out of the pool, then repeat the request',
  });
};
