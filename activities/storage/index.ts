/** Activities of the SPM agent: the only place that deletes volumes. */
import type { StorageActivities } from '../../workflows/contract.ts';
import { beating } from '../beating.ts';
import { ensureVolumesAbsent, type StorageDeps } from './ensure-volumes-absent.ts';

export function createStorageActivities(deps: StorageDeps): StorageActivities {
  return {
    observePresence: () => Promise.resolve(),
    ensureVolumesAbsent: beating((input) => ensureVolumesAbsent(deps, input)),
  };
}
