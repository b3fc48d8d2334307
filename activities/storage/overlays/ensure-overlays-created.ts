/** The overlays of a snapshot in one pool. */
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import { bug } from '../../../workflows/operation/failures.ts';
import type { snapshotOnStorage } from '../../../workflows/snapshot/create/activities.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';
import { reserveOverlays } from './reserve-overlays.ts';

type Table = typeof snapshotOnStorage;

export function ensureOverlaysCreated(
  deps: StorageDeps,
  { pool, ...reservation }: InputOf<Table, 'ensureOverlaysCreated'>,
): Promise<ResultOf<Table, 'ensureOverlaysCreated'>> {
  const { jobId, owner, snapshot } = reservation;
  const disks = snapshot.disks.filter(({ to }) => to.pool === pool);
  const [first] = disks;
  if (!first) throw bug(`the snapshot has no disk in pool ${pool}`);
  const text = JSON.stringify(reservation);
  return reserveOverlays(deps, { jobId, owner, text, to: first.to, disks });
}
