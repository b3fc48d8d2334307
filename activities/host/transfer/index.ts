/** What the host agent does for a move and for a copy. */
import { transferOnHost, type ImageJob } from '../../../workflows/transfer/activities.ts';
import type { Show } from '../../door/attempt.ts';
import { implement } from '../../door/implement.ts';
import type { HostDeps } from '../deps.ts';
import { guardOf } from '../pools/boundary.ts';
import { disksOnHost } from '../../../workflows/transfer/disks/activities.ts';
import { observeDisks } from './planning/observe-disks.ts';
import { observeImagePlan } from './planning/observe-image-plan.ts';
import { ensureHeldInTurn } from './ensure-image-held.ts';
import { workOf } from './copying-state.ts';
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

/** Follows the copy of a job, which has the turn meanwhile. */
const copying =
  <I extends ImageJob, O>(run: (deps: HostDeps, input: I, show: Show) => Promise<O>) =>
  (deps: HostDeps) =>
  (input: I, show: Show) =>
    deps.turns.during(workOf(deps, input), () => run(deps, input, show));

export const transferActivities = (deps: HostDeps) =>
  implement(transferOnHost, guardOf(deps), {
    observeImagePlan: (input) => observeImagePlan(deps, input),
    ensureImageHeld: (input, show) => ensureHeldInTurn(deps, input, show),
    ensureVolumeCreated: copying(ensureVolumeCreated)(deps),
    ensureVolumeCopied: copying(ensureVolumeCopied)(deps),
    ensureVolumeVerified: copying(ensureVolumeVerified)(deps),
    ensureBackingNames: (input) => ensureBackingNames(deps, input),
    ensureCopyBandwidth: (input) => ensureCopyBandwidth(deps, input),
    ensureRecordSwitched: (input) => ensureRecordSwitched(deps, input),
    ensureImageReleased: (input) => ensureImageReleased(deps, input),
    ensureEarlierReleased: (input) => ensureEarlierReleased(deps, input),
    ensureTopCreated: (input) => ensureTopCreated(deps, input),
    ensureMirrorStarted: copying(ensureMirrorStarted)(deps),
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
