/**
 * Deletes volumes that left a chain: renamed into the pool's `.blockflow/`, which pools do not
 * list, then unlinked there. A file that is not the planned one (another inode by that name) is
 * never touched.
 */
import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import type { StorageActivities } from '../../workflows/contract.ts';
import { bug, hold, retry } from '../../workflows/failures.ts';
import type { NamedVolume } from '../../workflows/schemas.ts';
import { observeFile, renameDurably, unlinkDurably } from '../adapters/files.ts';
import { deviceOf } from '../adapters/pool-identity.ts';
import { isUnlocked } from '../adapters/qemu-img.ts';
import { observePools, OWN_FOLDER } from '../adapters/pools.ts';
import type { Libvirt } from '../adapters/virsh.ts';
import type { Effect } from '../effect.ts';
import { volumeInPool } from './pool-boundary.ts';

export interface StorageDeps {
  libvirt: Libvirt;
  effect: Effect;
}

type Input = Parameters<StorageActivities['ensureVolumesAbsent']>[0];

/** Bytes that every file system of a pool takes. */
const LONGEST_NAME = 255;

/** Where a volume lies between its name's end and its own; a name may be too long to be a part. */
export function tombOf(path: string, jobId: string): string {
  const name = `${jobId}-${basename(path)}`;
  const digest = createHash('sha256').update(name).digest('hex');
  const isShort = Buffer.byteLength(name) <= LONGEST_NAME;
  return join(dirname(path), OWN_FOLDER, isShort ? name : `${jobId}-${digest}`);
}

export async function ensureVolumesAbsent(
  deps: StorageDeps,
  { jobId, volumes }: Input,
): ReturnType<StorageActivities['ensureVolumesAbsent']> {
  const pools = await observePools(deps.libvirt);
  const deleted: string[] = [];
  let regainedBytes = 0;
  for (const named of volumes) {
    const volume = await volumeInPool(pools, named, `deleting ${named.path}`);
    const regained = await ensureVolumeAbsent(deps, jobId, volume);
    if (regained !== null) deleted.push(volume.path);
    regainedBytes += regained ?? 0;
  }
  for (const name of new Set(volumes.map((volume) => volume.pool))) {
    await deps.libvirt.refreshPool(name);
  }
  return { deleted, regainedBytes };
}

/** @returns the bytes regained; null when another file has the name by now, which then stays. */
async function ensureVolumeAbsent(
  deps: StorageDeps,
  jobId: string,
  volume: NamedVolume,
): Promise<number | null> {
  const tomb = tombOf(volume.path, jobId);
  const [named, buried] = await Promise.all([observeFile(volume.path), observeFile(tomb)]);
  if (!named && !buried) await assertMounted(volume);
  if (named && named.identity !== volume.identity && !buried) return null;
  if (named?.identity === volume.identity) {
    if (!(await isUnlocked(volume.path))) throw inUse(volume);
    await deps.effect('storage.quarantine-volume', volume.path, () =>
      renameDurably(volume.path, tomb),
    );
  }
  const quarantined = await observeFile(tomb);
  if (!quarantined) return 0;
  if (quarantined.identity !== volume.identity) {
    throw bug(`${tomb} is not the file that was planned (${volume.identity})`);
  }
  await deps.effect('storage.unlink-volume', tomb, () => unlinkDurably(tomb));
  return quarantined.allocatedBytes;
}

/** A file of a file system that is not mounted seems to be gone. */
async function assertMounted({ path, identity }: NamedVolume): Promise<void> {
  const folder = dirname(path);
  if (deviceOf((await observeFile(folder))?.identity ?? '') === deviceOf(identity)) return;
  throw retry('pool-away', {
    attempted: `deleting ${path}`,
    now: `${folder} is not the file system that it was when this was planned`,
    next: 'Mount it again; blockflow goes on by itself',
  });
}

function inUse(volume: NamedVolume) {
  return hold('unproven', {
    attempted: `deleting ${volume.path}`,
    now: 'some process has opened it since it was proven unused; it is kept',
    next: 'Find the process with `fuser`, then repeat the request',
  });
}
