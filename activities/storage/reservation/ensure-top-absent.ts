/** The copy of an active layer whose mirror has ended: the next one needs an empty file. */
import { join } from 'node:path';
import type { ImageJob } from '../../../workflows/transfer/activities.ts';
import { observeFile, unlinkDurably } from '../../adapters/files/files.ts';
import { assertReserved } from '../../pool-folder/presence.ts';
import { stagedFile } from '../../pool-folder/reservation.ts';
import { assertUnheld } from '../volumes/holders.ts';
import { targetFolder } from '../volumes/pool-boundary.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';

/** Under both of its names. The reservation, and the copies of the lower layers, stay. */
export async function ensureTopAbsent(deps: StorageDeps, job: ImageJob): Promise<void> {
  const { plan, jobId } = job;
  const folder = await targetFolder(deps.libvirt, { to: plan.to, jobId });
  await assertReserved(job, 'removing the unfinished copy of the active layer');
  const { name } = plan.volumes.at(-1) as ImageJob['plan']['volumes'][number];
  const reserved = stagedFile(folder, jobId, name, 'ready');
  const [ready, named] = [await observeFile(reserved), await observeFile(join(folder, name))];
  if (!ready) return;
  const attempted = 'removing the unfinished copy of the active layer';
  const { identity } = ready;
  const held = named?.identity === identity ? join(folder, name) : reserved;
  await assertUnheld(deps.libvirt, attempted, [{ path: held, identity }]);
  // The reserved name last: it tells which file is ours.
  const names = named?.identity === ready.identity ? [join(folder, name), reserved] : [reserved];
  for (const path of names) {
    await deps.effect('storage.unlink-copy', path, async () => {
      // Another attempt may have done it, and a new file may have the name.
      const now = await observeFile(path);
      if (now?.identity === ready.identity) await unlinkDurably(path);
    });
  }
  await deps.libvirt.refreshPool(plan.to.pool);
}
