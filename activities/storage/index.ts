/** Activities of the SPM agent: the only place that deletes volumes. */
import type { StorageActivities } from '../../workflows/operation/contract.ts';
import type { ImageStorageActivities } from '../../workflows/transfer/activities.ts';
import { beating } from '../door/attempt.ts';
import { parsing, storageSchemas } from '../door/schemas.ts';
import { ensureVolumesAbsent } from './volumes/ensure-volumes-absent.ts';
import { createImageStorageActivities } from './reservation/index.ts';
import type { StorageDeps } from './volumes/quarantine.ts';
import { observePresence } from '../door/observe-presence.ts';

export function createStorageActivities(
  deps: StorageDeps,
): StorageActivities & ImageStorageActivities {
  return {
    ...createImageStorageActivities(deps),
    ...parsing<StorageActivities>(storageSchemas, {
      observePresence,
      ensureVolumesAbsent: beating((input) => ensureVolumesAbsent(deps, input)),
    }),
  };
}
