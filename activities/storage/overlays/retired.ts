/** What a revert has discarded in one pool: where it is, and the note that says so. */
import { join } from 'node:path';
import type { CopyTarget, NamedVolume } from '../../../workflows/chain/references.ts';
import { leftIn } from '../../../workflows/snapshot/revert/change.ts';
import type { RevertNote } from '../../../workflows/snapshot/revert/plan.ts';
import { bug } from '../../../workflows/operation/failures.ts';
import { listFolder, observeFile, syncPath, unlinkDurably } from '../../adapters/files/files.ts';
import { claimReservation, isManifest, manifestIn } from '../../pool-folder/owner.ts';
import { reservationFolder, writeReservation } from '../../pool-folder/reservation.ts';
import { targetFolder } from '../volumes/pool-boundary.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';

export interface Noted {
  note: RevertNote;
  to: CopyTarget;
}

/** Layers of the pool that the disks have left. */
export function retiredIn({ note: { state }, to }: Noted): NamedVolume[] {
  if (state.phase === 'begun') throw bug('a revert that is only begun has discarded nothing');
  return leftIn(state.change, to.pool);
}

/** `POOL/.blockflow/<job>/`, inside of the pool for sure (I16). */
export async function noteFolder(
  { libvirt }: StorageDeps,
  { to, jobId }: { to: CopyTarget; jobId: string },
): Promise<string> {
  return reservationFolder(await targetFolder(libvirt, { to, jobId }), jobId);
}

/**
 * Goes on with a note, and writes what is so now. Only renames change the name of a note, so of a
 * run that wants to go on with it and one that deletes, one has it.
 * @returns false when it is being deleted
 */
export const noteRevert = (deps: StorageDeps, folder: string, note: RevertNote): Promise<boolean> =>
  deps.effect('storage.note-revert', folder, async () => {
    const isThere = (await observeFile(folder)) !== null && (await manifestIn(folder)) !== null;
    if (!isThere || !(await claimReservation(folder, note.owner))) return false;
    await writeNote(folder, note);
    return true;
  });

/** Replaces the note, and takes away the second names of overlays. */
async function writeNote(folder: string, note: RevertNote): Promise<void> {
  await writeReservation(folder, { owner: note.owner, text: JSON.stringify(note) });
  const staged = (await listFolder(folder)).filter((name) => !isManifest(name));
  for (const name of staged) await unlinkDurably(join(folder, name));
  await syncPath(folder);
}
