/** Activities of the SPM agent on whole images. */
import type { ImageStorageActivities } from '../../../workflows/transfer/activities.ts';
import { beating } from '../../door/attempt.ts';
import { imageStorageSchemas } from '../../door/image-schemas.ts';
import { parsing } from '../../door/schemas.ts';
import { ensureImageReserved } from './ensure-image-reserved.ts';
import { ensureImageNamed } from './ensure-image-named.ts';
import { ensureReservationAbsent } from './ensure-reservation-absent.ts';
import { ensureVolumesWiped } from '../volumes/ensure-volumes-wiped.ts';
import type { StorageDeps } from '../volumes/quarantine.ts';

export function createImageStorageActivities(deps: StorageDeps): ImageStorageActivities {
  return parsing<ImageStorageActivities>(imageStorageSchemas, {
    ensureImageReserved: beating((input) => ensureImageReserved(deps, input)),
    ensureImageNamed: beating((input) => ensureImageNamed(deps, input)),
    ensureReservationAbsent: beating((input) => ensureReservationAbsent(deps, input)),
    ensureVolumesWiped: beating((input, show) => ensureVolumesWiped(deps, input, show)),
  });
}
