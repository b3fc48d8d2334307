/** The overlays of a revert in one pool, and the note of it. */
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import { bug } from '../../../workflows/operation/failures.ts';
import type { revertOnStorage } from '../../../workflows/snapshot/revert/activities.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';
import { reserveOverlays } from './reserve-overlays.ts';

type Table = typeof revertOnStorage;

export function ensureRevertReserved(
  deps: StorageDeps,
  { note, to }: InputOf<Table, 'ensureRevertReserved'>,
): Promise<ResultOf<Table, 'ensureRevertReserved'>> {
  const { jobId, owner, state } = note;
  if (state.phase !== 'begun') throw bug(`a revert that is ${state.phase} was to be begun`);
  const disks = state.plan.disks.filter((disk) => disk.to.pool === to.pool);
  return reserveOverlays(deps, { jobId, owner, text: JSON.stringify(note), to, disks });
}
