/** Deletes volumes that left a chain: put into quarantine, then unlinked there. */
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import type { poolsOnStorage } from '../../../workflows/pools/activities.ts';
import { dirname } from 'node:path';
import { bug, retry } from '../../../workflows/operation/failures.ts';
import type { NamedVolume } from '../../../workflows/chain/references.ts';
import { observeFile, unlinkDurably } from '../../adapters/files/files.ts';
import { deviceOf } from '../../pool-folder/id.ts';
import { quarantineAll, type Quarantined, type StorageDeps } from './quarantine.ts';

type Input = InputOf<typeof poolsOnStorage, 'ensureVolumesAbsent'>;

export async function ensureVolumesAbsent(
  deps: StorageDeps,
  { jobId, volumes }: Input,
): Promise<ResultOf<typeof poolsOnStorage, 'ensureVolumesAbsent'>> {
  const deleted: string[] = [];
  let regainedBytes = 0;
  for (const quarantined of await quarantineAll(deps, { jobId, volumes }, 'deleting')) {
    const regained = await ensureVolumeAbsent(deps, quarantined);
    if (regained !== null) deleted.unshift(quarantined.volume.path);
    regainedBytes += regained ?? 0;
  }
  for (const name of new Set(volumes.map((volume) => volume.pool))) {
    await deps.libvirt.refreshPoolSoon(name);
  }
  return { deleted, regainedBytes };
}

/** @returns the bytes regained; null when another file now has the name, which then stays. */
export async function ensureVolumeAbsent(
  deps: StorageDeps,
  { volume, quarantinedPath }: Quarantined,
): Promise<number | null> {
  const found = await observeFile(quarantinedPath);
  if (!found) {
    if (await observeFile(volume.path)) return null;
    await assertMounted(volume);
    return 0;
  }
  if (found.identity !== volume.identity) {
    throw bug(`${quarantinedPath} is not the file that was planned (${volume.identity})`);
  }
  await deps.effect('storage.unlink-volume', quarantinedPath, () => unlinkDurably(quarantinedPath));
  return found.allocatedBytes;
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
