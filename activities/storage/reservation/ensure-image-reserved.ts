/**
 * The copies of an image in their pool: reserved out of sight, then named; or removed, when they
 * are not wanted.
 */
import { join } from 'node:path';
import type { Reservation } from '../../../workflows/transfer/schemas.ts';
import type {
  ImageJob,
  ImageStorageActivities,
  ReservationEnd,
  UnwantedReservation,
} from '../../../workflows/transfer/activities.ts';
import { bug } from '../../../workflows/operation/failures.ts';
import { listFolder, observeFile, syncPath, unlinkDurably } from '../../adapters/files/files.ts';
import {
  createFile,
  linkFile,
  removeReservation,
  finalName,
  reservationFolder,
  stagedFile,
  writeReservation,
} from '../../adapters/files/image-files.ts';
import { abandonReservation, claimReservation } from '../../pool-folder/owner.ts';
import { assertReserved, whileMounted } from '../../pool-folder/presence.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';
import { assertNoLink, targetOf } from '../volumes/pool-boundary.ts';

/** Empty targets in `.blockflow/<job>/`, with a note of whose they are. */
export async function ensureImageReserved(
  deps: StorageDeps,
  input: Reservation,
): ReturnType<ImageStorageActivities['ensureImageReserved']> {
  const { plan, jobId, owner } = input;
  const poolFolder = await targetOf(deps.libvirt, plan);
  const folder = reservationFolder(poolFolder, jobId);
  await assertNoLink(folder);
  return deps.effect('storage.reserve-image', folder, async () => {
    const isClaimed = plan.adopted === null || (await claimReservation(folder, owner));
    if (!isClaimed) return { outcome: 'gone' };
    await writeReservation(folder, { owner, text: JSON.stringify(input) });
    for (const { name } of plan.volumes) {
      const staged = (['copied', 'ready'] as const).map((stage) =>
        observeFile(stagedFile(poolFolder, jobId, name, stage)),
      );
      const isFurther = (await Promise.all(staged)).some((file) => file !== null);
      if (!isFurther) await createFile(stagedFile(poolFolder, jobId, name, 'part'));
    }
    return { outcome: 'reserved' };
  });
}

/**
 * Gives each copy its final name. The reserved names stay: they tell later which files are the
 * copies.
 */
export async function ensureImageNamed(
  deps: StorageDeps,
  job: ImageJob,
): ReturnType<ImageStorageActivities['ensureImageNamed']> {
  const { plan, jobId } = job;
  const folder = await targetOf(deps.libvirt, plan);
  await assertReserved(job, 'naming the copies');
  for (const { name } of plan.volumes) {
    const reserved = stagedFile(folder, jobId, name, 'ready');
    const path = join(folder, name);
    const [ready, named] = await Promise.all([observeFile(reserved), observeFile(path)]);
    if (!ready) throw bug(`${reserved} was to be named ${path}, but does not exist`);
    if (named?.identity === ready.identity) continue;
    const done = await deps.effect('storage.name-volume', path, () => linkFile(reserved, path));
    if (done) continue;
    // The same link twice is no clash: only another file's name is taken.
    if ((await observeFile(path))?.identity !== ready.identity) return { outcome: 'taken', path };
  }
  // Also of names that are there already: an attempt before may have failed just here.
  await syncPath(folder);
  await deps.libvirt.refreshPool(plan.to.pool);
  return { outcome: 'named' };
}

/**
 * Ends a reservation. With `delete` the copies go too, under whatever names they have: both names
 * are one file.
 */
export async function ensureReservationAbsent(
  deps: StorageDeps,
  input: UnwantedReservation,
): Promise<ReservationEnd> {
  const { to, jobId } = input;
  const folder = reservationFolder(await targetOf(deps.libvirt, { to }), jobId);
  await assertNoLink(folder);
  const job = { plan: { to }, jobId };
  return whileMounted(job, `removing the copies of job ${jobId}`, async () => {
    const end = (await observeFile(folder)) ? await endReservation(deps, folder, input) : NOTHING;
    await deps.libvirt.refreshPool(to.pool);
    return end;
  });
}

const NOTHING: ReservationEnd = { outcome: 'removed', deleted: [], regainedBytes: 0 };

async function endReservation(
  deps: StorageDeps,
  folder: string,
  { to, targets, owners }: UnwantedReservation,
): Promise<ReservationEnd> {
  const isDeleted = targets === 'delete';
  // First of all, so that nobody adopts what is half deleted.
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
  await deps.effect('storage.remove-reservation', folder, () => removeReservation(folder));
  return { outcome: 'removed', deleted, regainedBytes };
}
