/** What the host agent does for a move and for a copy. */
import { transferOnHost } from '../../../workflows/transfer/activities.ts';
import { implement } from '../../door/implement.ts';
import type { HostDeps } from '../deps.ts';
import { guardOf } from '../pools/boundary.ts';
import { disksOnHost } from '../../../workflows/transfer/disks/activities.ts';
import { observeDisks } from './planning/observe-disks.ts';
import { observeImagePlan } from './planning/observe-image-plan.ts';
import { ensureImageHeld } from './ensure-image-held.ts';
import { ensureVolumeCreated } from './ensure-volume-created.ts';
import { ensureVolumeCopied } from './ensure-volume-copied.ts';
import { ensureVolumeVerified } from './ensure-volume-verified.ts';
import { ensureBackingNames } from './ensure-backing-names.ts';
import { ensureCopyBandwidth } from './ensure-copy-bandwidth.ts';
import { ensureRecordSwitched } from './ensure-record-switched.ts';
import { ensureImageReleased } from './ensure-image-released.ts';
import { ensureEarlierReleased } from './ensure-earlier-released.ts';
import { awaitMirrorReady } from './live/await-mirror-ready.ts';
import { ensureMirrorBandwidth } from './live/ensure-mirror-bandwidth.ts';
import { ensureMirrorEnded } from './live/ensure-mirror-ended.ts';
import { ensureMirrorKept } from './live/ensure-mirror-kept.ts';
import { ensureMirrorPivoted } from './live/ensure-mirror-pivoted.ts';
import { ensureMirrorsSwitched } from './live/ensure-mirrors-switched.ts';
import { ensureMirrorStarted } from './live/ensure-mirror-started.ts';
import { ensureTopCreated } from './live/ensure-top-created.ts';
import { observeMoveProof } from './live/observe-move-proof.ts';

export const transferActivities = (deps: HostDeps) =>
  implement(transferOnHost, guardOf(deps), {
    observeImagePlan: (input) => observeImagePlan(deps, input),
    ensureImageHeld: (input) => ensureImageHeld(deps, input),
    ensureVolumeCreated: (input, show) => ensureVolumeCreated(deps, input, show),
    ensureVolumeCopied: (input, show) => ensureVolumeCopied(deps, input, show),
    ensureVolumeVerified: (input, show) => ensureVolumeVerified(deps, input, show),
    ensureBackingNames: (input) => ensureBackingNames(deps, input),
    ensureCopyBandwidth: (input) => ensureCopyBandwidth(deps, input),
    ensureRecordSwitched: (input) => ensureRecordSwitched(deps, input),
    ensureImageReleased: (input) => ensureImageReleased(deps, input),
    ensureEarlierReleased: (input) => ensureEarlierReleased(deps, input),
    ensureTopCreated: (input) => ensureTopCreated(deps, input),
    ensureMirrorStarted: (input) => ensureMirrorStarted(deps, input),
    awaitMirrorReady: (input) => awaitMirrorReady(deps, input),
    ensureMirrorBandwidth: (input) => ensureMirrorBandwidth(deps, input),
    ensureMirrorPivoted: (input) => ensureMirrorPivoted(deps, input),
    ensureMirrorKept: (input) => ensureMirrorKept(deps, input),
    ensureMirrorsSwitched: (input) => ensureMirrorsSwitched(deps, input),
    ensureMirrorEnded: (input) => ensureMirrorEnded(deps, input),
    observeMoveProof: (input) => observeMoveProof(deps, input),
  });

export const disksActivities = (deps: HostDeps) =>
  implement(disksOnHost, guardOf(deps), { observeDisks: (input) => observeDisks(deps, input) });
