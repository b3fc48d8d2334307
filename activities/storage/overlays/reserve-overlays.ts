/** Overlays in one pool: made out of sight, looked at, then named. */
import { join, resolve } from 'node:path';
import type { CopyTarget } from '../../../workflows/chain/references.ts';
import type { ResultOf } from '../../../workflows/operation/activities.ts';
import { bug, noSpace, retry } from '../../../workflows/operation/failures.ts';
import type { snapshotOnStorage } from '../../../workflows/snapshot/create/activities.ts';
import type { Overlay, PlannedDisk } from '../../../workflows/snapshot/create/plan.ts';
import { copyRightsToWrite } from '../../adapters/files/attributes.ts';
import { linkFile, observeFile, renameOnce, syncPath } from '../../adapters/files/files.ts';
import { withOwnedFile } from '../../adapters/files/owned-folder.ts';
import { CommandError } from '../../adapters/process/command.ts';
import { createEmpty, emptyFault, type EmptyImage } from '../../adapters/qemu-img/empty-image.ts';
import { observePools } from '../../adapters/virsh/pools.ts';
import { nameVolume } from '../../pool-folder/id.ts';
import { reservationFolder, stagedFile, writeReservation } from '../../pool-folder/reservation.ts';
import { targetFolder, volumeInPool } from '../volumes/pool-boundary.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';

export interface OverlaysOfPool {
  jobId: string;
  owner: string;
  /** What the note says. */
  text: string;
  to: CopyTarget;
  /** Those of this pool; perhaps none. */
  disks: readonly PlannedDisk[];
}

/** `taken`: a final name is another file's, which stays. */
export async function reserveOverlays(
  deps: StorageDeps,
  { jobId, owner, text, to, disks }: OverlaysOfPool,
): Promise<ResultOf<typeof snapshotOnStorage, 'ensureOverlaysCreated'>> {
  const { pool } = to;
  const poolFolder = await targetFolder(deps.libvirt, { to, jobId });
  const folder = reservationFolder(poolFolder, jobId);
  const stray = disks.find((disk) => disk.to.folder !== poolFolder);
  if (stray) throw bug(`${stray.name} was to be made in ${stray.to.folder}, not in pool ${pool}`);
  await assertBases(deps, disks);
  await deps.effect('storage.reserve-overlays', folder, async () => {
    await writeReservation(folder, { owner, text });
    await stageAll(disks, jobId);
    await syncPath(folder);
  });
  const overlays: Overlay[] = [];
  for (const disk of disks) {
    const path = join(poolFolder, disk.name);
    const staged = await observeFile(stagedFile(poolFolder, jobId, disk.name, 'ready'));
    if (!staged) throw bug(`${path} was to be named, but its file does not exist`);
    if (!(await nameOverlay(deps, { disk, jobId, path, identity: staged.identity }))) {
      return { outcome: 'taken', path };
    }
    const volume = await nameVolume({ path, pool, identity: staged.identity });
    overlays.push({ disk: disk.disk, volume });
  }
  await syncPath(poolFolder);
  await deps.libvirt.refreshPool(pool);
  return { outcome: 'created', overlays };
}

/** Through its overlay a VM reads the base, and what is below. @throws as `volumeInPool`; Bug */
async function assertBases({ libvirt }: StorageDeps, disks: readonly PlannedDisk[]): Promise<void> {
  const pools = await observePools(libvirt);
  for (const { base, backingName, to, name } of disks) {
    await volumeInPool(pools, base, `creating ${name} over ${base.path}`);
    const named = resolve(to.folder, backingName);
    if (named !== base.path) throw bug(`${name} was to be made over ${named}, not ${base.path}`);
  }
}

const shapeOf = (disk: PlannedDisk): EmptyImage => ({
  format: 'qcow2',
  backing: { name: disk.backingName, format: disk.baseFormat },
  virtualSizeBytes: disk.virtualSizeBytes,
  clusterBytes: disk.clusterBytes,
  extendedL2: disk.extendedL2,
});

/** At once, as each costs some processes. One that fails leaves none of the others running. */
async function stageAll(disks: readonly PlannedDisk[], jobId: string): Promise<void> {
  const ends = await Promise.allSettled(disks.map((disk) => stage(disk, jobId)));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/** Complete and durable once it is called `.ready`. */
async function stage(disk: PlannedDisk, jobId: string): Promise<void> {
  const at = (step: 'part' | 'ready') => stagedFile(disk.to.folder, jobId, disk.name, step);
  if (await observeFile(at('ready'))) return;
  const attempted = `creating the overlay of ${disk.base.path}`;
  try {
    await createEmpty(at('part'), shapeOf(disk));
  } catch (error) {
    if (!(error instanceof CommandError) || !/No space left/.test(error.stderr)) throw error;
    throw noSpace({
      attempted,
      now: `pool ${disk.to.pool} has no space; nothing was switched`,
      next: 'Make space there; blockflow goes on by itself',
    });
  }
  const fault = await emptyFault(at('part'), shapeOf(disk));
  if (fault !== null) {
    throw retry('command-failed', {
      attempted,
      now: `${at('part')} is not what was asked for: ${fault}`,
      next: "Look at that disk and the host's kernel log; blockflow tries again",
    });
  }
  // The user of QEMU opens it as it opens the base.
  await withOwnedFile(at('part'), async (overlay) => {
    await copyRightsToWrite(disk.base.path, overlay);
    await overlay.sync();
  });
  await renameOnce(at('part'), at('ready'));
}

interface Naming {
  disk: PlannedDisk;
  jobId: string;
  path: string;
  identity: string;
}

/** @returns false when the name is another file's */
async function nameOverlay(deps: StorageDeps, { disk, jobId, path, identity }: Naming) {
  if ((await observeFile(path))?.identity === identity) return true;
  const staged = stagedFile(disk.to.folder, jobId, disk.name, 'ready');
  if (await deps.effect('storage.name-volume', path, () => linkFile(staged, path))) return true;
  return (await observeFile(path))?.identity === identity;
}
