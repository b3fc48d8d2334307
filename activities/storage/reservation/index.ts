/** What the SPM agent does for a move and for a copy. */
import { transferOnStorage } from '../../../workflows/transfer/activities.ts';
import { implement } from '../../door/implement.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';
import { ensureTopAbsent } from './ensure-top-absent.ts';
import { ensureImageReserved } from './ensure-image-reserved.ts';
import { ensureImageNamed } from './ensure-image-named.ts';

export const reservationActivities = (deps: StorageDeps) =>
  implement(transferOnStorage, null, {
    ensureImageReserved: (input) => ensureImageReserved(deps, input),
    ensureImageNamed: (input) => ensureImageNamed(deps, input),
    ensureTopAbsent: (input) => ensureTopAbsent(deps, input),
  });
