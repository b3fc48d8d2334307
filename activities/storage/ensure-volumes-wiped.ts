/**
 * Overwrites volumes before their deletion: really, since `vol-wipe` of a sparse file only
 * truncates it.
 */
import { hold } from '../../workflows/failures.ts';
import type { ImageStorageActivities } from '../../workflows/move-contract.ts';
import type { NamedVolume } from '../../workflows/schemas.ts';
import { linkCount, observeFile, renameDurably } from '../adapters/files.ts';
import { dataExtents } from '../adapters/image-compare.ts';
import { overwrite } from '../adapters/image-files.ts';
import { isUnlocked } from '../adapters/qemu-img.ts';
import { observePools } from '../adapters/pools.ts';
import { showProgress, type Show } from '../beating.ts';
import { tombOf, type StorageDeps } from './ensure-volumes-absent.ts';
import { volumeInPool } from './pool-boundary.ts';

/**
 * Takes each volume out of sight first, to where `ensureVolumesAbsent` finds and unlinks it; so
 * nobody opens a half-wiped image. On a copy-on-write file system the old blocks are only freed, as
 * by every overwriting.
 */
export async function ensureVolumesWiped(
  deps: StorageDeps,
  { jobId, volumes }: Parameters<ImageStorageActivities['ensureVolumesWiped']>[0],
  show: Show,
): Promise<void> {
  const pools = await observePools(deps.libvirt);
  const found = volumes.map((named) => volumeInPool(pools, named, `wiping ${named.path}`));
  for (const volume of await Promise.all(found)) {
    const tomb = tombOf(volume.path, jobId);
    await quarantine(deps, volume, tomb);
    if ((await observeFile(tomb))?.identity !== volume.identity) continue;
    await assertOnlyName(tomb);
    const extents = await dataExtents(tomb);
    const totalBytes = extents.reduce((sum, { length }) => sum + length, 0);
    const tell = showProgress(show, { phase: 'wiping', totalBytes });
    await deps.effect('storage.wipe-volume', tomb, () => overwrite(tomb, extents, tell));
  }
}

async function quarantine(deps: StorageDeps, volume: NamedVolume, tomb: string): Promise<void> {
  const { path, identity } = volume;
  if ((await observeFile(path))?.identity !== identity) return;
  if (!(await isUnlocked(path))) {
    throw kept(path, 'some process has it open', 'Find the process with `fuser`');
  }
  await assertOnlyName(path);
  await deps.effect('storage.quarantine-volume', path, () => renameDurably(path, tomb));
}

/** Overwriting it would overwrite what others know by another name, perhaps outside of the pool. */
async function assertOnlyName(path: string): Promise<void> {
  const names = await linkCount(path);
  if (names === 1) return;
  throw kept(path, `it has ${names} names (hard links)`, 'Find them with `find -samefile`');
}

const kept = (path: string, why: string, next: string) =>
  hold('unproven', {
    attempted: `wiping ${path}`,
    now: `${why}; it is kept`,
    next: `${next}, then repeat the request`,
  });
