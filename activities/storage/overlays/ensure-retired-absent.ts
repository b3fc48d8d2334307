/** Deletes what a revert has discarded, once its time is over. */
import { join } from 'node:path';
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import { revertNote } from '../../../workflows/snapshot/revert/plan.ts';
import type { revertOnStorage } from '../../../workflows/snapshot/revert/activities.ts';
import { observeFile, readText } from '../../adapters/files/files.ts';
import { nullIfMissing } from '../../adapters/files/paths.ts';
import { observePools } from '../../adapters/virsh/pools.ts';
import { abandonReservation, belongsToAnother, manifestIn } from '../../pool-folder/owner.ts';
import { whileMounted } from '../../pool-folder/presence.ts';
import { quarantinePathOf } from '../../pool-folder/quarantine.ts';
import { removeReservationFolder } from '../../pool-folder/reservation.ts';
import { ensureVolumeAbsent } from '../volumes/ensure-volumes-absent.ts';
import { assertUnheld } from '../volumes/holders.ts';
import { volumeInPool } from '../volumes/pool-boundary.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';
import { noteFolder } from './retired.ts';

type Table = typeof revertOnStorage;
type Input = InputOf<Table, 'ensureRetiredAbsent'>;
type Outcome = ResultOf<Table, 'ensureRetiredAbsent'>;

const nothing = (outcome: Outcome['outcome']): Outcome => ({
  ...{ outcome, deleted: [], regainedBytes: 0 },
});

/** Only in quarantine: what has its name again is the VM's. */
export async function ensureRetiredAbsent(deps: StorageDeps, input: Input): Promise<Outcome> {
  const { to, jobId } = input;
  const folder = await noteFolder(deps, input);
  return whileMounted({ plan: { to }, jobId }, `deleting what job ${jobId} has discarded`, () =>
    deleteRetired(deps, folder, input),
  );
}

interface RetiredFile {
  volume: Awaited<ReturnType<typeof volumeInPool>>;
  quarantinedPath: string;
  identity: string;
}

async function deleteRetired(
  deps: StorageDeps,
  folder: string,
  { jobId, owner, to, volumes }: Input,
): Promise<Outcome> {
  // The folder goes last.
  if (!(await observeFile(folder))) return nothing('removed');
  if (await belongsToAnother(folder, [owner])) return nothing('kept');
  if (await isUnfinished(folder)) return nothing('unsettled');
  const pools = await observePools(deps.libvirt);
  const left: RetiredFile[] = [];
  for (const named of volumes) {
    const volume = await volumeInPool(pools, named, `deleting ${named.path}`);
    const quarantinedPath = quarantinePathOf(volume.path, jobId);
    const file = await observeFile(quarantinedPath);
    if (file) left.push({ volume, quarantinedPath, identity: file.identity });
  }
  // Before the note is given up: without it no request finds them. What came to stand on one, or
  // to have it, names it as it was.
  for (const { volume, quarantinedPath: path, identity } of left) {
    await assertUnheld(deps.libvirt, `deleting ${path}`, [{ path, identity, was: volume.path }]);
  }
  const isOurs = await deps.effect('storage.abandon-reservation', folder, () =>
    abandonReservation(folder, [owner]),
  );
  if (!isOurs) return nothing('kept');
  const done = { ...nothing('removed'), deleted: [] as string[] };
  for (const { volume, quarantinedPath } of left) {
    const regained = await ensureVolumeAbsent(deps, { volume, quarantinedPath });
    done.deleted.push(quarantinedPath);
    done.regainedBytes += regained ?? 0;
  }
  await deps.effect('storage.remove-reservation', folder, () => removeReservationFolder(folder));
  await deps.libvirt.refreshPoolSoon(to.pool);
  return done;
}

/** A run that has switched, or is about to, has not put the layers into quarantine yet. */
async function isUnfinished(folder: string): Promise<boolean> {
  const name = await manifestIn(folder);
  // What cannot be read may be unfinished: its layers are not deleted for that.
  const text = name && (await readText(join(folder, name)).catch(nullIfMissing));
  if (!text) return false;
  const { phase } = revertNote.parse(JSON.parse(text)).state;
  return phase === 'begun' || phase === 'undoing';
}
