/** Activities of the host agent on whole images. */
import type { ImageHostActivities } from '../../../workflows/transfer/activities.ts';
import { beating } from '../../door/attempt.ts';
import { imageHostSchemas } from '../../door/image-schemas.ts';
import { parsing } from '../../door/schemas.ts';
import type { HostDeps } from '../deps.ts';
import { ensureEarlierReleased } from './ensure-earlier-released.ts';
import { ensureCopyBandwidth } from './ensure-copy-bandwidth.ts';
import { ensureImageReleased } from './ensure-image-released.ts';
import { ensureBackingNames } from './ensure-backing-names.ts';
import { awaitPool } from '../pools/await-pool.ts';
import { ensureImageHeld } from './ensure-image-held.ts';
import { ensureRecordSwitched } from './ensure-record-switched.ts';
import { ensureVolumeCopied } from './ensure-volume-copied.ts';
import { ensureVolumeCreated } from './ensure-volume-created.ts';
import { ensureVolumeVerified } from './ensure-volume-verified.ts';
import { observeImagePlan } from './observe-image-plan.ts';
import { observeLeases } from '../pools/observe-leases.ts';
import { observeRemovalPlan } from '../removal/observe-removal-plan.ts';
import { observeUses } from '../uses/observe-uses.ts';

export function createImageHostActivities(deps: HostDeps): ImageHostActivities {
  return parsing<ImageHostActivities>(imageHostSchemas, {
    observeImagePlan: beating((request) => observeImagePlan(deps, request)),
    ensureImageHeld: beating((job) => ensureImageHeld(deps, job)),
    ensureVolumeCreated: beating((job, show) => ensureVolumeCreated(deps, job, show)),
    ensureVolumeCopied: beating((job, show) => ensureVolumeCopied(deps, job, show)),
    ensureVolumeVerified: beating((job, show) => ensureVolumeVerified(deps, job, show)),
    ensureBackingNames: beating((job) => ensureBackingNames(deps, job)),
    ensureCopyBandwidth: beating((input) => ensureCopyBandwidth(deps, input)),
    ensureRecordSwitched: beating((job) => ensureRecordSwitched(deps, job)),
    awaitPool,
    ensureImageReleased: beating((input) => ensureImageReleased(deps, input)),
    ensureEarlierReleased: beating((input) => ensureEarlierReleased(deps, input)),
    observeRemovalPlan: beating((input) => observeRemovalPlan(deps, input)),
    observeUses: beating((input) => observeUses(deps, input)),
    observeLeases: beating(() => observeLeases(deps)),
  });
}
