/** What the SPM agent does for a snapshot, and for going back to one. */
import { snapshotOnStorage } from '../../../workflows/snapshot/create/activities.ts';
import { revertOnStorage } from '../../../workflows/snapshot/revert/activities.ts';
import { implement } from '../../door/implement.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';
import { ensureLayersRestored } from './ensure-layers-restored.ts';
import { ensureLayersRetired } from './ensure-layers-retired.ts';
import { ensureOverlaysCreated } from './ensure-overlays-created.ts';
import { ensureRetiredAbsent } from './ensure-retired-absent.ts';
import { ensureRevertReserved } from './ensure-revert-reserved.ts';

export const overlaysActivities = (deps: StorageDeps) => ({
  ...implement(snapshotOnStorage, null, {
    ensureOverlaysCreated: (input) => ensureOverlaysCreated(deps, input),
  }),
  ...implement(revertOnStorage, null, {
    ensureRevertReserved: (input) => ensureRevertReserved(deps, input),
    ensureLayersRetired: (input) => ensureLayersRetired(deps, input),
    ensureLayersRestored: (input) => ensureLayersRestored(deps, input),
    ensureRetiredAbsent: (input) => ensureRetiredAbsent(deps, input),
  }),
});
