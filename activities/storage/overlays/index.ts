/** What the SPM agent does for a snapshot. */
import { snapshotOnStorage } from '../../../workflows/snapshot/create/activities.ts';
import { implement } from '../../door/implement.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';
import { ensureOverlaysCreated } from './ensure-overlays-created.ts';

export const overlaysActivities = (deps: StorageDeps) =>
  implement(snapshotOnStorage, {
    ensureOverlaysCreated: (input) => ensureOverlaysCreated(deps, input),
  });
