/**
 * The copies of an image in their pool: reserved out of sight, then named; or removed, when they
 * are not wanted.
 */
import { basename, join } from 'node:path';
import type { Reservation } from '../../workflows/image-schemas.ts';
import type { ImageJob, ImageStorageActivities } from '../../workflows/move-contract.ts';
import { bug } from '../../workflows/failures.ts';
import { listFolder, observeFile, unlinkDurably } from '../adapters/files.ts';
import { createFile, linkDurably, removeReservation } from '../adapters/image-files.ts';
import { reservationFolder, stagedFile, writeReservation } from '../adapters/image-files.ts';
import { assertReserved } from '../pool-presence.ts';
import type { StorageDeps } from './ensure-volumes-absent.ts';
import { assertNoLink, folderOf, targetOf } from './pool-boundary.ts';

/** Empty targets in `.blockflow/<job>/`, with a note of whose they are. */
export async function ensureImageReserved(deps: StorageDeps, input: Reservation): Promise<void> {
  const { plan, jobId } = input;
  const poolFolder = await targetOf(deps.libvirt, plan);
  const folder = reservationFolder(poolFolder, jobId);
  await assertNoLink(folder);
  await deps.effect('storage.reserve-image', folder, async () => {
    await writeReservation(folder, JSON.stringify(input));
    for (const { name } of plan.volumes) {
      const staged = (['copied', 'ready'] as const).map((stage) =>
        observeFile(stagedFile(poolFolder, jobId, name, stage)),
      );
      const isFurther = (await Promise.all(staged)).some((file) => file !== null);
      if (!isFurther) await createFile(stagedFile(poolFolder, jobId, name, 'part'));
    }
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
    const done = await deps.effect('storage.name-volume', path, () => linkDurably(reserved, path));
    if (done) continue;
    // The same link twice is no clash: only another file's name is taken.
    if ((await observeFile(path))?.identity !== ready.identity) return { outcome: 'taken', path };
  }
  await deps.libvirt.refreshPool(plan.to.pool);
  return { outcome: 'named' };
}

/**
 * Ends a reservation. With `delete` the copies go too, under whatever names they have: both names
 * are one file.
 */
export async function ensureReservationAbsent(
  deps: StorageDeps,
  { pool, jobId, targets }: Parameters<ImageStorageActivities['ensureReservationAbsent']>[0],
): ReturnType<ImageStorageActivities['ensureReservationAbsent']> {
  const poolFolder = await folderOf(deps.libvirt, pool);
  const folder = reservationFolder(poolFolder, jobId);
  await assertNoLink(folder);
  const deleted: string[] = [];
  const ready = (await listFolder(folder)).filter((name) => name.endsWith('.ready'));
  for (const file of targets === 'delete' ? ready : []) {
    const path = join(poolFolder, basename(file, '.ready'));
    const [reserved, named] = await Promise.all([
      observeFile(join(folder, file)),
      observeFile(path),
    ]);
    if (!named || named.identity !== reserved?.identity) continue;
    await deps.effect('storage.unlink-copy', path, () => unlinkDurably(path));
    deleted.push(path);
  }
  await deps.effect('storage.remove-reservation', folder, () => removeReservation(folder));
  await deps.libvirt.refreshPool(pool);
  return { deleted };
}
