/**
 * Which pool is in which folder, as agents of this machine have seen it: `STATE/pools/`. A folder
 * whose file system is not mounted looks like a new pool; what was written into it would be hidden
 * when the file system is back, and an operation would end with its data on the wrong one.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir } from '../adapters/files/calls.ts';
import { join } from 'node:path';
import { z } from 'zod';
import { UUID } from '../../workflows/operation/names.ts';
import { observeFile, readText, writeWhole } from '../adapters/files/files.ts';
import { nullIfMissing } from '../adapters/files/paths.ts';
import { ensurePoolId, observePoolId } from './id.ts';

const known = z.object({
  folder: z.string(),
  /** As in `POOL/.blockflow/id`. */
  id: z.string().regex(UUID),
  /** `device:inode` of the folder when that was written. */
  place: z.string(),
});
type Known = z.infer<typeof known>;

/** The pool that belongs in a folder, and why it is not there. */
export interface MissingPool {
  id: string;
  /** What is seen instead, and what to do. */
  now: string;
  next: string;
}

const fileOf = (stateDir: string, folder: string) => {
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  return join(stateDir, 'pools', `${name}.json`);
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
}

async function look(stateDir: string, folder: string): Promise<Look> {
  const [before, id, facts] = await Promise.all([
    readKnown(stateDir, folder),
    observePoolId(folder),
    observeFile(folder),
  ]);
  return { folder, before, id, place: facts?.identity ?? null };
}

function missing(stateDir: string, { folder, before, id, place }: Look): MissingPool | null {
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
  const id = found.id ?? before?.id ?? randomUUID();
  if (place === null || (before?.id === id && before.place === place && found.id === id))
    return null;
  await mkdir(join(stateDir, 'pools'), { recursive: true, mode: 0o700 });
  const remember = (seen: string) => {
    const text = JSON.stringify({ folder, id: seen, place } satisfies Known);
    return writeWhole(fileOf(stateDir, folder), text, { ifThere: 'replace' });
  };
  // First, so that an id in the folder is always known here.
  await remember(id);
  if (found.id !== null) return null;
  await ensurePoolId(folder, id);
  // An agent of another host may have been faster.
  const written = await observePoolId(folder);
  if (written !== null && written !== id) await remember(written);
  return null;
}

async function readKnown(stateDir: string, folder: string): Promise<Known | null> {
  const path = fileOf(stateDir, folder);
  const text = await readText(path).catch(nullIfMissing);
  if (text === null) return null;
  try {
    return known.parse(JSON.parse(text));
  } catch {
    throw new Error(`${path} is no record of a pool: remove it when the pool's disk is mounted`);
  }
}
