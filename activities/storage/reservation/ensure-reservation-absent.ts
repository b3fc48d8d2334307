/** The end of a reservation, with its copies where they are not wanted. */
import { join } from 'path';
import type { UnwantedReservation, ReservationEnd } from '../../../workflows/pools/activities.ts';
import { observeFile, listFolder, unlinkDurably } from '../../adapters/files/files.ts';
import {
  reservationFolder,
  finalName,
  removeReservationFolder,
} from '../../pool-folder/reservation.ts';
import { abandonReservation } from '../../pool-folder/owner.ts';
import { whileMounted } from '../../pool-folder/presence.ts';
import { assertUnheld } from '../volumes/holders.ts';
import { targetFolder } from '../volumes/pool-boundary.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';

/**
 * Ends a reservation. With `delete` the copies go too, under whatever names they have: both names
 * are one file.
 */
export async function ensureReservationAbsent(
  deps: StorageDeps,
  input: UnwantedReservation,
): Promise<ReservationEnd> {
  const { to, jobId } = input;
  const folder = reservationFolder(await targetFolder(deps.libvirt, { to, jobId }), jobId);
  const job = { plan: { to }, jobId };
  return whileMounted(job, `removing the copies of job ${jobId}`, async () => {
    const end = (await observeFile(folder)) ? await endReservation(deps, folder, input) : NOTHING;
    await deps.libvirt.refreshPoolSoon(to.pool);
    return end;
  });
}

const NOTHING: ReservationEnd = { outcome: 'removed', deleted: [], regainedBytes: 0 };

/** The copies that have final names. */
async function namedIn(folder: string, poolFolder: string) {
  const copies = (await listFolder(folder)).map(async (name) => {
    const path = finalName(poolFolder, name);
    const [file, named] = [await observeFile(join(folder, name)), await observeFile(path)];
    return file && named?.identity === file.identity ? [{ path, identity: file.identity }] : [];
  });
  return (await Promise.all(copies)).flat();
}

async function endReservation(
  deps: StorageDeps,
  folder: string,
  { to, targets, owners }: UnwantedReservation,
): Promise<ReservationEnd> {
  const isDeleted = targets === 'delete';
  const attempted = `deleting the copies in ${folder}`;
  if (isDeleted) await assertUnheld(deps.libvirt, attempted, await namedIn(folder, to.folder));
  // First of all, so that no request adopts what is half deleted.
  const isOurs =
    !isDeleted ||
    (await deps.effect('storage.abandon-reservation', folder, () =>
      abandonReservation(folder, owners),
    ));
  if (!isOurs) return { ...NOTHING, outcome: 'kept' };
  const deleted: string[] = [];
  let regainedBytes = 0;
  for (const name of await listFolder(folder)) {
    const file = await observeFile(join(folder, name));
    const path = finalName(to.folder, name);
    if (isDeleted) regainedBytes += file?.allocatedBytes ?? 0;
    if (!isDeleted || !file || (await observeFile(path))?.identity !== file.identity) continue;
    await deps.effect('storage.unlink-copy', path, () => unlinkDurably(path));
    deleted.push(path);
  }
  await deps.effect('storage.remove-reservation', folder, () => removeReservationFolder(folder));
  return { outcome: 'removed', deleted, regainedBytes };
}
