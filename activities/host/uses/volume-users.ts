/**
 * What stands on volumes, by the headers on storage. Files are compared by identity, so that links
 * and hard links cannot hide one.
 */
import { dirname } from 'node:path';
import { leadsTo, observeFile } from '../../adapters/files/files.ts';
import type { FilePath } from '../../adapters/files/paths.ts';
import type { Pool } from '../../adapters/virsh/pools.ts';
import {
  cannotSearch,
  cannotTell,
  headersBelow,
  namesBelow,
  type LeaveOut,
} from './headers-below.ts';

/** `device:inode` of each, and names that count as one of them while no file has them. */
export type Identities = ReadonlySet<string>;

interface File {
  path: string;
  identity: string;
}

export const identitiesOf = (volumes: readonly Pick<File, 'identity'>[]): Identities =>
  new Set(volumes.map((volume) => volume.identity));

/** @throws Hold `unproven` where that cannot be told */
export async function isOneOf(files: Identities, path: FilePath): Promise<boolean> {
  const facts = await observeFile(path).catch(cannotTell(path));
  if (facts !== null) return files.has(facts.identity);
  return hasNames(files) && files.has(await leadsTo(path.toString()));
}

const hasNames = (files: Identities) => [...files].some((one) => one.startsWith('/'));

interface Walk {
  /** What was found at and below files before: a VM that runs names all layers of a chain. */
  known: Map<string, string | null>;
  leaveOut: LeaveOut;
}

/**
 * The first of the files at or below `source`, null when there is none: a VM that is down names its
 * active layer only.
 * @throws Hold `unproven`
 */
export async function firstIn(
  files: Identities,
  source: string,
  { known, leaveOut }: Walk,
): Promise<string | null> {
  const seen: string[] = [];
  const search = async (path: Buffer): Promise<string | null> => {
    const key = path.toString('latin1');
    if (seen.includes(key)) return null;
    const before = known.get(key);
    if (before !== undefined) return before;
    seen.push(key);
    const found = await atOrBelow(path);
    if (found !== null) known.set(key, found);
    return found;
  };
  const atOrBelow = async (path: Buffer): Promise<string | null> => {
    if (await isOneOf(files, path)) return path.toString();
    const { backing, dataFile } = await namesBelow(path, leaveOut);
    for (const data of dataFile) if (await isOneOf(files, data)) return data.toString();
    for (const below of backing) {
      const found = await search(below);
      if (found !== null) return found;
    }
    return null;
  };
  const found = await search(Buffer.from(source));
  // Not each by itself: names may go in circles.
  if (found === null) for (const key of seen) known.set(key, null);
  return found;
}

interface Search {
  pools: readonly Pool[];
  /** Those that are not active: one that cannot be searched is left out. */
  asleep?: readonly Pool[];
  /**
   * These may stand on each other. Their own folders are looked through whether or not a pool is
   * active there (any more).
   */
  volumes: readonly File[];
}

/** What was found, and the folders that could not be searched, each with the reason. */
export interface Children {
  children: { child: string; path: string }[];
  notSearched: string[];
}

/**
 * Other chains on these files, in the pools' folders and below them.
 * @returns each child with the name that its header has for the file
 * @throws Hold `unproven`
 */
export async function childrenOf(
  files: Identities,
  { pools, asleep = [], volumes }: Search,
): Promise<Children> {
  const found: Children = { children: [], notSearched: [] };
  const family = identitiesOf(volumes);
  const isFile = remembered((path) => isOneOf(files, path));
  const own = volumes.map(({ path }) => dirname(path));
  const foldersOf = (of: readonly Pool[]) => of.flatMap(({ folder }) => folder ?? []);
  const needed = new Set([...foldersOf(pools), ...own]);
  for (const folder of new Set([...needed, ...foldersOf(asleep)])) {
    const { named, notSearched, closed } = await headersBelow(folder);
    const pool = pools.find((one) => one.folder === folder)?.name ?? null;
    if (closed && needed.has(folder)) throw cannotSearch(folder, pool, closed);
    found.notSearched.push(...notSearched, ...(closed ? [`${folder} (${closed.message})`] : []));
    for (const { file: child, backing, dataFile } of named) {
      for (const path of [...backing, ...dataFile]) {
        if (!(await isFile(path)) || (await isOneOf(family, child))) continue;
        found.children.push({ child: child.toString(), path: path.toString() });
      }
    }
  }
  return found;
}

/** Many files stand on the same one, which is looked at once. */
function remembered(look: (path: Buffer) => Promise<boolean>) {
  const known = new Map<string, Promise<boolean>>();
  return (path: Buffer): Promise<boolean> => {
    const key = path.toString('latin1');
    const answer = known.get(key) ?? look(path);
    known.set(key, answer);
    return answer;
  };
}
