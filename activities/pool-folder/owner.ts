/**
 * Whose a reservation is: the name of its one manifest says it, `<owner>.json`, or that it has no
 * owner any more. Only renames change that name, so of two who want it, one to go on with the
 * copies and one to delete them, the first has it and the other is told.
 */
import { rename } from '../adapters/files/calls.ts';
import { join } from 'node:path';
import { listFolder, syncPath } from '../adapters/files/files.ts';

export const manifestOf = (owner: string) => `${owner}.json`;
export const isManifest = (name: string) => name.endsWith('.json');
const ABANDONED = manifestOf('abandoned');

/** Null without a manifest: what was never completed has no owner. */
export async function manifestIn(folder: string): Promise<string | null> {
  const names = (await listFolder(folder)).filter(isManifest);
  return names.find((name) => name === ABANDONED) ?? names[0] ?? null;
}

/** @returns false when another agent was faster */
async function renameManifest(folder: string, from: string, to: string): Promise<boolean> {
  try {
    await rename(join(folder, from), join(folder, to));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  await syncPath(folder);
  return true;
}

/** Goes on with what an earlier run reserved. @returns false when that is being deleted */
export async function claimReservation(folder: string, owner: string): Promise<boolean> {
  for (;;) {
    const name = await manifestIn(folder);
    if (name === null || name === ABANDONED) return false;
    if (name === manifestOf(owner)) return true;
    if (await renameManifest(folder, name, manifestOf(owner))) return true;
  }
}

/**
 * From here on no request goes on with it. @returns false when it is none of these owners' (null:
 * any owner)
 */
export async function abandonReservation(
  folder: string,
  owners: readonly string[] | null,
): Promise<boolean> {
  for (;;) {
    const name = await manifestIn(folder);
    if (name === null || name === ABANDONED) return true;
    if (!isOneOf(owners, name)) return false;
    if (await renameManifest(folder, name, ABANDONED)) return true;
  }
}

/** Whether `abandonReservation` would find another's now. */
export async function belongsToAnother(
  folder: string,
  owners: readonly string[],
): Promise<boolean> {
  const name = await manifestIn(folder);
  return name !== null && name !== ABANDONED && !isOneOf(owners, name);
}

/** Null for one that was abandoned. */
export const ownerOf = (manifest: string): string | null =>
  manifest === ABANDONED ? null : manifest.slice(0, -'.json'.length);

const isOneOf = (owners: readonly string[] | null, name: string) =>
  owners === null || owners.some((owner) => manifestOf(owner) === name);
