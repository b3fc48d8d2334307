/** Gives what a revert has discarded its names back. */
import type { ResultOf } from '../../../workflows/operation/activities.ts';
import type { revertOnStorage } from '../../../workflows/snapshot/revert/activities.ts';
import { dirname } from 'node:path';
import { linkFile, observeFile, syncPath, unlinkDurably } from '../../adapters/files/files.ts';
import { observePools } from '../../adapters/virsh/pools.ts';
import { quarantinePathOf } from '../../pool-folder/quarantine.ts';
import { volumeInPool } from '../volumes/pool-boundary.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';
import { noteFolder, noteRevert, retiredIn, type Noted } from './retired.ts';

/** Never over another file: `taken`. */
export async function ensureLayersRestored(
  deps: StorageDeps,
  noted: Noted,
): Promise<ResultOf<typeof revertOnStorage, 'ensureLayersRestored'>> {
  const { note, to } = noted;
  const { jobId } = note;
  const folder = await noteFolder(deps, { to, jobId });
  const isOurs = await noteRevert(deps, folder, note);
  if (!isOurs) return { outcome: 'gone', path: folder };
  const pools = await observePools(deps.libvirt);
  for (const named of retiredIn(noted)) {
    const { path, identity } = await volumeInPool(pools, named, `restoring ${named.path}`);
    const hidden = quarantinePathOf(path, jobId);
    if ((await observeFile(hidden))?.identity !== identity) {
      if ((await observeFile(path))?.identity === identity) continue;
      return { outcome: 'gone', path };
    }
    const isNamed = await deps.effect('storage.restore-volume', path, async () => {
      const isLinked = await linkFile(hidden, path);
      if (!isLinked && (await observeFile(path))?.identity !== identity) return false;
      await syncPath(dirname(path));
      await unlinkDurably(hidden);
      return true;
    });
    if (!isNamed) return { outcome: 'taken', path };
  }
  await deps.libvirt.refreshPool(to.pool);
  return { outcome: 'restored' };
}
