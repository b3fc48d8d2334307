/**
 * `POOL/.blockflow/<job>/`: the copies of one job until they have their final names, and the
 * manifest, `<owner>.json`, that says what they are copies of. On disk:
 *
 *   <owner>.json      the manifest: the plan, the job and the workflow, as JSON
 *   abandoned.json    the same once no request may go on with the copies
 *   <name>.part       a copy that may be incomplete
 *   <name>.copied     one that is complete and flushed, and is still to be verified
 *   <name>.ready      one that gets, or has, the final name; both names are then one file
 */
import { readFile, rm } from '../adapters/files/calls.ts';
import { basename, dirname, extname, join } from 'node:path';
import { listFolder, syncPath, writeWhole } from '../adapters/files/files.ts';
import { ensureOwnedFolder } from '../adapters/files/owned-folder.ts';
import { CLONE_ENDING } from '../adapters/files/reflink.ts';
import { unlessSilent } from '../adapters/process/asking.ts';
import { ensureOwnFolder, OWN_FOLDER, PASSABLE } from './own-folder.ts';
import { manifestIn, manifestOf, ownerOf } from './owner.ts';

export const reservationFolder = (poolFolder: string, jobId: string) =>
  join(poolFolder, OWN_FOLDER, jobId);

/**
 * A volume's file by how far its copy is: `part` may be incomplete, `copied` is complete and
 * flushed, `ready` is what gets the final name. A rename leads from one to the next, so that the
 * file's name is the durable record.
 */
export type Stage = 'part' | 'copied' | 'ready';

/** Bytes of a name that leave room for what it has while it is copied. */
export const LONGEST_NAME_BYTES = 255 - '.part.'.length - CLONE_ENDING;

export const stagedFile = (poolFolder: string, jobId: string, name: string, stage: Stage) =>
  join(reservationFolder(poolFolder, jobId), `${name}.${stage}`);

/** What a reserved file is to be called, or is called already: both are then one file. */
export const finalName = (poolFolder: string, staged: string) =>
  join(poolFolder, basename(staged, extname(staged)));

/** Makes the folder with what says whose it is. Durable when it returns. */
export async function writeReservation(
  folder: string,
  { owner, text }: { owner: string; text: string },
): Promise<void> {
  await ensureOwnFolder(dirname(dirname(folder)));
  await ensureOwnedFolder(folder, PASSABLE);
  await writeWhole(join(folder, manifestOf(owner)), text, { ifThere: 'replace', mode: 0o600 });
  await syncPath(dirname(folder));
  await syncPath(dirname(dirname(folder)));
}

/** The files in the reservations of a pool. */
export async function reservedFiles(poolFolder: string): Promise<string[]> {
  const names = (await reservationFolders(poolFolder)).map(async (folder) =>
    (await listFolder(folder)).map((name) => join(folder, name)),
  );
  return (await Promise.all(names)).flat();
}

/** Removes a reservation's folder with everything in it. */
export async function removeReservationFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await syncPath(dirname(folder)).catch(() => undefined);
}

/** The folders of the reservations in a pool; what else is there has no manifest and no copies. */
export async function reservationFolders(poolFolder: string): Promise<string[]> {
  const own = join(poolFolder, OWN_FOLDER);
  return (await listFolder(own)).map((job) => join(own, job));
}

export interface Manifest {
  /** Of its JSON; null for what is none. */
  content: unknown;
  /** Null when it was abandoned. */
  owner: string | null;
}

/** The manifests of the reservations in a pool. */
export async function readManifests(poolFolder: string): Promise<Manifest[]> {
  const found = (await reservationFolders(poolFolder)).map(async (folder) => {
    const name = await manifestIn(folder);
    const text = name && (await readFile(join(folder, name), 'utf8').catch(unlessSilent(null)));
    if (!name || !text) return [];
    return [{ content: jsonOf(text), owner: ownerOf(name) }];
  });
  return (await Promise.all(found)).flat();
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
