/** What the SPM agent does for its pools: all that deletes. */
import { poolsOnStorage } from '../../../workflows/pools/activities.ts';
import { implement } from '../../door/implement.ts';
import type { StorageDeps } from './quarantine.ts';
import { ensureVolumesAbsent } from './ensure-volumes-absent.ts';
import { ensureVolumesWiped } from './ensure-volumes-wiped.ts';
import { ensureReservationAbsent } from '../reservation/ensure-reservation-absent.ts';

export const volumesActivities = (deps: StorageDeps) =>
  implement(poolsOnStorage, null, {
    ensureVolumesAbsent: (input) => ensureVolumesAbsent(deps, input),
    ensureVolumesWiped: (input, show) => ensureVolumesWiped(deps, input, show),
    ensureReservationAbsent: (input) => ensureReservationAbsent(deps, input),
  });
