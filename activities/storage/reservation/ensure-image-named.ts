/** The final names of the copies of an image. */
import type { ResultOf } from '../../../workflows/operation/activities.ts';
import type { ImageJob, transferOnStorage } from '../../../workflows/transfer/activities.ts';
import { join } from 'node:path';
import { copiesOf } from '../../../workflows/transfer/copied.ts';
import { bug } from '../../../workflows/operation/failures.ts';
import { observeFile, syncPath, linkFile } from '../../adapters/files/files.ts';
import { stagedFile } from '../../pool-folder/reservation.ts';
import { assertReserved } from '../../pool-folder/presence.ts';
import { targetFolder } from '../volumes/pool-boundary.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';

/**
 * Gives each copy its final name. The reserved names stay: they tell later which files are the
 * copies.
 */
export async function ensureImageNamed(
  deps: StorageDeps,
  job: ImageJob,
): Promise<ResultOf<typeof transferOnStorage, 'ensureImageNamed'>> {
  const { plan, jobId } = job;
  const folder = await targetFolder(deps.libvirt, { to: plan.to, jobId });
  await assertReserved(job, 'naming the copies');
  for (const { name } of copiesOf(plan)) {
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
