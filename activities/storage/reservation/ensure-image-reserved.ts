/**
 * The copies of an image in their pool: reserved out of sight, then named; or removed, when they
 * are not wanted.
 */
import { copiesOf } from '../../../workflows/transfer/copied.ts';
import type { Reservation } from '../../../workflows/transfer/plan.ts';
import type { ResultOf } from '../../../workflows/operation/activities.ts';
import type { transferOnStorage } from '../../../workflows/transfer/activities.ts';
import { observeFile, createFile } from '../../adapters/files/files.ts';
import { reservationFolder, stagedFile, writeReservation } from '../../pool-folder/reservation.ts';
import { claimReservation } from '../../pool-folder/owner.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';
import { targetFolder } from '../volumes/pool-boundary.ts';

/** Empty targets in `.blockflow/<job>/`, with a note of whose they are. */
export async function ensureImageReserved(
  deps: StorageDeps,
  input: Reservation,
): Promise<ResultOf<typeof transferOnStorage, 'ensureImageReserved'>> {
  const { plan, jobId, owner } = input;
  const poolFolder = await targetFolder(deps.libvirt, { to: plan.to, jobId });
  const folder = reservationFolder(poolFolder, jobId);
  return deps.effect('storage.reserve-image', folder, async () => {
    const isClaimed = plan.adopted === null || (await claimReservation(folder, owner));
    if (!isClaimed) return { outcome: 'gone' };
    await writeReservation(folder, { owner, text: JSON.stringify(input) });
    for (const { name } of copiesOf(plan)) {
      const staged = (['copied', 'ready'] as const).map((stage) =>
        observeFile(stagedFile(poolFolder, jobId, name, stage)),
      );
      const isFurther = (await Promise.all(staged)).some((file) => file !== null);
      if (!isFurther) await createFile(stagedFile(poolFolder, jobId, name, 'part'));
    }
    return { outcome: 'reserved' };
  });
}
