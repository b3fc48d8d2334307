/**
 * Overwrites volumes before their deletion: really, since `vol-wipe` of a sparse file only
 * truncates it.
 */
import { hold } from '../../workflows/failures.ts';
import type { ImageStorageActivities } from '../../workflows/move-contract.ts';
import type { NamedVolume } from '../../workflows/schemas.ts';
import { observeFile, renameDurably } from '../adapters/files.ts';
import { dataExtents } from '../adapters/image-compare.ts';
import { overwrite } from '../adapters/image-files.ts';
import { isUnlocked } from '../adapters/qemu-img.ts';
import { tombOf, type StorageDeps } from './ensure-volumes-absent.ts';

/**
 * Takes each volume out of sight first, to where `ensureVolumesAbsent` finds and unlinks it; so
 * nobody opens a half-wiped image. On a copy-on-write file system the old blocks are only freed, as
 * by every overwriting.
 */
export async function ensureVolumesWiped(
  deps: StorageDeps,
  { jobId, volumes }: Parameters<ImageStorageActivities['ensureVolumesWiped']>[0],
): Promise<void> {
  for (const volume of volumes) {
    const tomb = tombOf(volume.path, jobId);
    await quarantine(deps, volume, tomb);
    if ((await observeFile(tomb))?.identity !== volume.identity) continue;
    const extents = await dataExtents(tomb);
    await deps.effect('storage.wipe-volume', tomb, () => overwrite(tomb, extents));
  }
}

async function quarantine(deps: StorageDeps, volume: NamedVolume, tomb: string): Promise<void> {
  const { path, identity } = volume;
  if ((await observeFile(path))?.identity !== identity) return;
  if (!(await isUnlocked(path))) {
    throw hold('unproven', {
      attempted: `wiping ${path}`,
      now: 'some process has it open; it is kept',
      next: 'Find the process with `fuser`, then repeat the request',
    });
  }
  await deps.effect('storage.quarantine-volume', path, () => renameDurably(path, tomb));
}
