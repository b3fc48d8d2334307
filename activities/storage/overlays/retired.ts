/** What a revert has discarded in one pool: where it is, and the note that says so. */
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { CopyTarget, NamedVolume } from '../../../workflows/chain/references.ts';
import { backwards, changeOf, leftIn } from '../../../workflows/snapshot/revert/change.ts';
import {
  revertNote,
  type DiskSwitch,
  type RevertNote,
  type RevertPlan,
} from '../../../workflows/snapshot/revert/plan.ts';
import { bug } from '../../../workflows/operation/failures.ts';
import {
  listFolder,
  observeFile,
  readText,
  syncPath,
  unlinkDurably,
} from '../../adapters/files/files.ts';
import { identityIn } from '../../pool-folder/id.ts';
import { madeForJob } from '../../pool-folder/made-for-job.ts';
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
    if (!isThere) return false;
    await assertFollows(folder, note);
    if (!(await claimReservation(folder, note.owner))) return false;
    await writeNote(folder, note);
    return true;
  });

/** A note goes on from one phase to the next: what it is about stays. @throws Bug */
async function assertFollows(folder: string, { jobId, state: next }: RevertNote): Promise<void> {
  const name = await manifestIn(folder);
  const { data: before } = revertNote.safeParse(
    name && JSON.parse(await readText(join(folder, name))),
  );
  if (!before || next.phase === 'begun') throw bug(`${folder} has no note of a revert`);
  const { state } = before;
  const isSame =
    state.phase === 'begun'
      ? next.phase === 'kept' && (await isOfPlan(folder, jobId, state.plan, next.change))
      : [state.change, backwards(state.change)].some((one) => isDeepStrictEqual(one, next.change));
  if (!isSame) throw bug(`the note in ${folder} is about another change`);
}

/** Whether it leads from the layers of the plan to the overlays that were made for it. */
async function isOfPlan(
  folder: string,
  jobId: string,
  plan: RevertPlan,
  change: DiskSwitch,
): Promise<boolean> {
  const overlays = change.disks.map(({ disk, to: { volume } }) => ({ disk, volume }));
  if (!isDeepStrictEqual(changeOf(plan, overlays), change)) return false;
  for (const { disk, to, name } of plan.disks) {
    const volume = overlays.find((one) => one.disk === disk)?.volume;
    if (volume?.path !== join(to.folder, name)) return false;
    // Of another pool its own agent looks.
    if (reservationFolder(to.folder, jobId) !== folder) continue;
    const made = await madeForJob({ to, jobId, name });
    if (made === null || made !== (await identityIn(to.folder, volume))) return false;
  }
  return true;
}

/** Replaces the note, and takes away the second names of overlays. */
async function writeNote(folder: string, note: RevertNote): Promise<void> {
  await writeReservation(folder, { owner: note.owner, text: JSON.stringify(note) });
  const staged = (await listFolder(folder)).filter((name) => !isManifest(name));
  for (const name of staged) await unlinkDurably(join(folder, name));
  await syncPath(folder);
}
