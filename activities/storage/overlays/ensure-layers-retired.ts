/** Takes what the disks of a VM have left out of sight, to be kept for a while. */
import { retry } from '../../../workflows/operation/failures.ts';
import { observeFile, unlinkDurably } from '../../adapters/files/files.ts';
import { observePools } from '../../adapters/virsh/pools.ts';
import { quarantinePathOf } from '../../pool-folder/quarantine.ts';
import { volumeInPool } from '../volumes/pool-boundary.ts';
import { quarantineAll, type StorageDeps } from '../volumes/quarantine.ts';
import { noteFolder, noteRevert, retiredIn, type Noted } from './retired.ts';

export async function ensureLayersRetired(deps: StorageDeps, noted: Noted): Promise<void> {
  const { note, to } = noted;
  const { jobId } = note;
  const folder = await noteFolder(deps, { to, jobId });
  await endHalfRestored(deps, noted);
  await quarantineAll(deps, { jobId, volumes: retiredIn(noted) }, 'retiring');
  const isNoted = await noteRevert(deps, folder, note);
  await deps.libvirt.refreshPoolSoon(to.pool);
  if (isNoted) return;
  throw retry('pool-away', {
    attempted: `noting what the revert has discarded in pool ${to.pool}`,
    now: `${folder} has no note of it; the layers are in .blockflow/ beside it`,
    next: 'Mount its file system again; blockflow goes on by itself',
  });
}

/** An agent that died while it restored a file has left both names, which no rename makes one. */
async function endHalfRestored(deps: StorageDeps, noted: Noted): Promise<void> {
  const pools = await observePools(deps.libvirt);
  for (const named of retiredIn(noted)) {
    const { path } = await volumeInPool(pools, named, `retiring ${named.path}`);
    const hidden = quarantinePathOf(path, noted.note.jobId);
    const [one, other] = await Promise.all([observeFile(path), observeFile(hidden)]);
    if (one === null || one.identity !== other?.identity) continue;
    await deps.effect('storage.restore-volume', path, () => unlinkDurably(hidden));
  }
}
