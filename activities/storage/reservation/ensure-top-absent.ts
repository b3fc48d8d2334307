/** The copy of an active layer whose mirror has ended: the next one needs an empty file. */
import { join } from 'node:path';
import type { ImageJob } from '../../../workflows/transfer/activities.ts';
import { observeFile, unlinkDurably } from '../../adapters/files/files.ts';
import { whileMounted } from '../../pool-folder/presence.ts';
import { stagedFile } from '../../pool-folder/reservation.ts';
import { assertUnheld } from '../volumes/holders.ts';
import { targetFolder } from '../volumes/pool-boundary.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';

const attempted = 'removing the unfinished copy of the active layer';

/**
 * Under both of its names. The reservation, and the copies of the lower layers, stay; where an
 * earlier run's is being deleted meanwhile, the copy goes with it.
 */
export async function ensureTopAbsent(deps: StorageDeps, job: ImageJob): Promise<void> {
  const { plan, jobId } = job;
  const folder = await targetFolder(deps.libvirt, { to: plan.to, jobId });
  await whileMounted(job, attempted, () => removeTop(deps, folder, job));
}

async function removeTop(
  deps: StorageDeps,
  folder: string,
  { plan, jobId }: ImageJob,
): Promise<void> {
  const { name } = plan.volumes.at(-1) as ImageJob['plan']['volumes'][number];
  const reserved = stagedFile(folder, jobId, name, 'ready');
  const [ready, named] = [await observeFile(reserved), await observeFile(join(folder, name))];
  if (!ready) return;
  const { identity } = ready;
  const isNamed = named?.identity === identity;
  const held = isNamed ? join(folder, name) : reserved;
  await assertUnheld(deps.libvirt, attempted, [{ path: held, identity }]);
  // The reserved name last: it tells which file is ours.
  for (const path of isNamed ? [held, reserved] : [reserved]) {
    await deps.effect('storage.unlink-copy', path, async () => {
      // Another attempt may have done it, and a new file may have the name.
      const now = await observeFile(path);
      if (now?.identity === identity) await unlinkDurably(path);
    });
  }
  await deps.libvirt.refreshPoolSoon(plan.to.pool);
}
