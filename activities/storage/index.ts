/** Activities of the SPM agent: the only place that deletes volumes. */
import { presenceActivities } from '../door/observe-presence.ts';
import { overlaysActivities } from './overlays/index.ts';
import { reservationActivities } from './reservation/index.ts';
import { volumesActivities } from './volumes/index.ts';
import type { StorageDeps } from './volumes/quarantine.ts';

export const createStorageActivities = (deps: StorageDeps) => ({
  ...presenceActivities,
  ...volumesActivities(deps),
  ...reservationActivities(deps),
  ...overlaysActivities(deps),
});
export type StorageActivities = ReturnType<typeof createStorageActivities>;
