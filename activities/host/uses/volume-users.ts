/**
 * What stands on volumes, by the headers on storage. Files are compared by identity, so that links
 * and hard links cannot hide one.
 */
import { dirname } from 'node:path';
import { sightOf } from '../../adapters/files/elsewhere.ts';
import { leadsTo } from '../../adapters/files/files.ts';
import type { FilePath } from '../../adapters/files/paths.ts';
import type { Pool } from '../../adapters/virsh/pools.ts';
import { holdingOf, namesIn } from '../../adapters/qemu-img/names-in.ts';
import { NONE, type FileNames } from '../../adapters/qemu-img/qcow2-header.ts';
import { cannotSearch, cannotTell, headersBelow, type Namer } from './headers-below.ts';

/** `device:inode` of each, and names that count as one of them while no file has them. */
export type Identities = ReadonlySet<string>;

interface File {
  path: string;
  identity: string;
}

export const identitiesOf = (volumes: readonly Pick<File, 'identity'>[]): Identities =>
  new Set(volumes.map((volume) => volume.identity));

/**
 * @param namer who names that path; default a pool
 * @throws Hold `unproven` where that cannot be told
 */
export const isOneOf = async (files: Identities, path: FilePath, namer?: Namer): Promise<boolean> =>
  (await look(files, path, namer)).isOne;

/** What cannot be seen on another file system is none of the files. */
async function look(files: Identities, path: FilePath, namer?: Namer) {
  const { identity, unseen } = await sightOf(path, files).catch(cannotTell(path, namer));
  if (identity !== null) return { isOne: files.has(identity), unseen };
  const mayBeName = unseen === null && hasNames(files);
  return { isOne: mayBeName && files.has(await leadsTo(path.toString())), unseen };
}

const hasNames = (files: Identities) => [...files].some((one) => one.startsWith('/'));

/** Told of each place that was not searched, with the reason. */
export type LeaveOut = (where: string) => void;

interface Walk {
  /** What was found at and below files before: a VM that runs names all layers of a chain. */
  known: Map<string, string | null>;
  /** Who names the source. */
  namer: Namer;
  /** Whether a file that cannot be read may stand on one that is not known. */
  mayStand: (path: string) => boolean;
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
  { known, namer, mayStand, leaveOut }: Walk,
): Promise<string | null> {
  const seen: string[] = [];
  let isUnread = false;
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
    const { isOne, unseen } = await look(files, path, namer);
    if (isOne) return path.toString();
    const { backing, dataFile } = unseen ? unread(path, unseen) : await namesBelow(path);
    for (const data of dataFile) if (await isOneOf(files, data, namer)) return data.toString();
    for (const below of backing) {
      const found = await search(below);
      if (found !== null) return found;
    }
    return null;
  };
  const namesBelow = (path: Buffer) =>
    namesIn(path).catch(async (error: Error) => {
      // A LUN without a path must not stop what is about other VMs.
      const isDevice = (await holdingOf(path).catch(() => null)) === 'device';
      return unread(path, error, isDevice);
    });
  const unread = (path: Buffer, error: Error, isDevice = false): FileNames => {
    isUnread = true;
    if (!isDevice && mayStand(path.toString())) cannotTell(path, namer)(error);
    leaveOut(`${path.toString()} of ${namer.by} (${error.message})`);
    return NONE;
  };
  const found = await search(Buffer.from(source));
  // Not each by itself: names may go in circles. What another one names may be more than this one.
  if (found === null && !isUnread) for (const key of seen) known.set(key, null);
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
  const isFile = remembered((path, namer: Namer) => isOneOf(files, path, namer));
  const own = volumes.map(({ path }) => dirname(path));
  const foldersOf = (of: readonly Pool[]) => of.flatMap(({ folder }) => folder ?? []);
  const needed = new Set([...foldersOf(pools), ...own]);
  for (const folder of new Set([...needed, ...foldersOf(asleep)])) {
    const { named, notSearched, closed } = await headersBelow(folder);
    const pool = pools.find((one) => one.folder === folder)?.name ?? null;
    if (closed && needed.has(folder)) throw cannotSearch(folder, pool, closed);
    found.notSearched.push(...notSearched, ...(closed ? [`${folder} (${closed.message})`] : []));
    for (const { file: child, backing, dataFile } of named) {
      const by = child.toString();
      for (const path of [...backing, ...dataFile]) {
        if (
          !(await isFile(path, { by, release: `take ${by} out of the pool` })) ||
          (await isOneOf(family, child))
        )
          continue;
        found.children.push({ child: by, path: path.toString() });
      }
    }
  }
  return found;
}

/** Many files stand on the same one, which is looked at once. */
function remembered<T>(ask: (path: Buffer, more: T) => Promise<boolean>) {
  const known = new Map<string, Promise<boolean>>();
  return (path: Buffer, more: T): Promise<boolean> => {
    const key = path.toString('latin1');
    const answer = known.get(key) ?? ask(path, more);
    known.set(key, answer);
    return answer;
  };
}
