/**
 * Which pool is in which folder, as agents of this machine have seen it: `STATE/pools/`. A folder
 * whose file system is not mounted looks like a new pool; what was written into it would be hidden
 * when the file system is back, and an operation would end with its data on the wrong one. A folder
 * that was copied, or whose machine was cloned, has the id of another pool.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir } from '../adapters/files/calls.ts';
import { join } from 'node:path';
import { z } from 'zod';
import { shell, UUID } from '../../workflows/operation/names.ts';
import { listFolder, observeFile, readText, writeWhole } from '../adapters/files/files.ts';
import { nullIfMissing } from '../adapters/files/paths.ts';

import { ensurePoolId, idFile, observePoolId } from './id.ts';

const known = z.object({
  folder: z.string(),
  /** As in `POOL/.blockflow/id`. */
  id: z.string().regex(UUID),
  /** `device:inode` of the folder when that was written. */
  place: z.string(),
  /** Who was seen to serve another pool of this id: `spm@host:pid`. */
  otherSpm: z.optional(z.string()),
});
type Known = z.infer<typeof known>;

/** The pool that belongs in a folder, and why it is not there. */
export interface MissingPool {
  id: string;
  /** What is seen instead, and what to do. */
  now: string;
  next: string;
}

const recordsOf = (stateDir: string) => join(stateDir, 'pools');
const fileOf = (stateDir: string, folder: string) => {
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  return join(recordsOf(stateDir), `${name}.json`);
};

/**
 * Looks only.
 * @returns null where the folder holds the pool that it always held, or was never seen
 */
export const missingPool = async (stateDir: string, folder: string): Promise<MissingPool | null> =>
  missing(stateDir, await look(stateDir, folder));

interface Look {
  folder: string;
  before: Known | null;
  id: string | null;
  place: string | null;
  /** Who or what else has the id that is there, or was. */
  other: string | null;
}

async function look(stateDir: string, folder: string): Promise<Look> {
  const [before, id, facts] = await Promise.all([
    readKnown(fileOf(stateDir, folder)),
    observePoolId(folder),
    observeFile(folder),
  ]);
  const found = { folder, before, id, place: facts?.identity ?? null };
  return { ...found, other: await otherOf(stateDir, found) };
}

async function otherOf(
  stateDir: string,
  { folder, before, id, place }: Omit<Look, 'other'>,
): Promise<string | null> {
  const own = id ?? before?.id;
  if (own === undefined) return null;
  if (before?.otherSpm !== undefined && before.id === own) {
    return `the pool that ${before.otherSpm} serves, which does not share its lease`;
  }
  for (const other of await allKnown(stateDir)) {
    if (other.folder === folder || other.id !== own) continue;
    const [otherId, facts] = await Promise.all([
      observePoolId(other.folder),
      observeFile(other.folder).catch(() => null),
    ]);
    // One folder may have two names.
    if (otherId === own && facts?.identity !== place) return `the pool in ${other.folder}`;
  }
  return null;
}

function missing(stateDir: string, found: Look): MissingPool | null {
  const { folder, before, id, place, other } = found;
  if (id !== null && other !== null) return copied(stateDir, found, id);
  if (!before || before.id === id) return null;
  // The same folder of the same file system: only the id was removed.
  if (id === null && place === before.place) return null;
  return {
    id: before.id,
    now:
      id === null
        ? `${folder} does not hold the pool that was there (its .blockflow/id is missing)`
        : `${folder} holds another pool (id ${id}) than before (id ${before.id})`,
    next:
      'Mount its file system again, and blockflow goes on by itself; ' +
      `if it was replaced for good, remove ${fileOf(stateDir, folder)}`,
  };
}

const copied = (stateDir: string, { folder, other }: Look, id: string): MissingPool => ({
  id,
  now: `${folder} has the id (${id}) of ${String(other)}: one of the two is a copy`,
  next:
    'If this one is the copy, remove its id, and blockflow gives it another one: ' +
    `${shell`rm ${idFile(folder)}`}. If it is the original, do so at the other one, then ` +
    `${shell`rm -f ${fileOf(stateDir, folder)}`}. If both are one storage, its locks (flock) ` +
    'must reach all of its hosts: mount it so, then remove that file',
});

/** An agent was seen to serve another pool of its id: it is none until a person has decided. */
export async function rememberOtherSpm(
  stateDir: string,
  folder: string,
  otherSpm: string,
): Promise<void> {
  const before = await readKnown(fileOf(stateDir, folder));
  if (before) await remember(stateDir, { ...before, otherSpm });
}

async function remember(stateDir: string, pool: Known): Promise<void> {
  await mkdir(recordsOf(stateDir), { recursive: true, mode: 0o700 });
  await writeWhole(fileOf(stateDir, pool.folder), JSON.stringify(pool), { ifThere: 'replace' });
}

/**
 * Remembers the pool of a folder. One that was never seen gets its id.
 * @returns what is missing; null when the folder holds its pool, which is durable then
 * @throws of the file system
 */
export async function ensureKnownPool(
  stateDir: string,
  folder: string,
): Promise<MissingPool | null> {
  const found = await look(stateDir, folder);
  const gone = missing(stateDir, found);
  if (gone) return gone;
  const { before, place } = found;
  // The id of a copy was removed so that it gets another one.
  const known = found.other === null ? before?.id : undefined;
  const id = found.id ?? known ?? randomUUID();
  if (place === null || (before?.id === id && before.place === place && found.id === id))
    return null;
  // First, so that an id in the folder is always known here.
  await remember(stateDir, { folder, id, place });
  if (found.id !== null) return null;
  await ensurePoolId(folder, id);
  // An agent of another host may have been faster.
  const written = await observePoolId(folder);
  if (written !== null && written !== id) await remember(stateDir, { folder, id: written, place });
  return null;
}

/** A record that is none is told of when its folder is looked at. */
async function allKnown(stateDir: string): Promise<Known[]> {
  const names = await listFolder(recordsOf(stateDir));
  const read = (name: string) => readKnown(join(recordsOf(stateDir), name)).catch(() => null);
  return (await Promise.all(names.map(read))).filter((pool) => pool !== null);
}

async function readKnown(path: string): Promise<Known | null> {
  const text = await readText(path).catch(nullIfMissing);
  if (text === null) return null;
  try {
    return known.parse(JSON.parse(text));
  } catch {
    throw new Error(`${path} is no record of a pool: remove it when the pool's disk is mounted`);
  }
}
