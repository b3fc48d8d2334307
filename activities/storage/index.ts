/** Activities of the SPM agent: the only place that deletes volumes. */
import type { StorageActivities } from '../../workflows/contract.ts';
import type { ImageStorageActivities } from '../../workflows/move-contract.ts';
import { beating } from '../beating.ts';
import { parsing, storageSchemas } from '../schemas.ts';
import { ensureVolumesAbsent } from './ensure-volumes-absent.ts';
import { createImageStorageActivities } from './image-activities.ts';
import type { StorageDeps } from './quarantine.ts';

export function createStorageActivities(
  deps: StorageDeps,
): StorageActivities & ImageStorageActivities {
  return {
    ...createImageStorageActivities(deps),
    ...parsing<StorageActivities>(storageSchemas, {
      observePresence: () => Promise.resolve(),
      ensureVolumesAbsent: beating((input) => ensureVolumesAbsent(deps, input)),
    }),
  };
}
