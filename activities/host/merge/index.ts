/** What the host agent does for a merge. */
import { mergeOnHost } from '../../../workflows/merge/activities.ts';
import { implement } from '../../door/implement.ts';
import type { HostDeps } from '../deps.ts';
import { guardOf } from '../pools/boundary.ts';
import { observeMergePlan } from './planning/observe-merge-plan.ts';
import { ensureCommitStarted } from './ensure-commit-started.ts';
import { ensureBandwidth } from './ensure-bandwidth.ts';
import { awaitCommitReady } from './await-commit-ready.ts';
import { ensureCommitAborted } from './ensure-commit-aborted.ts';
import { ensurePivoted } from './ensure-pivoted.ts';
import { ensureColdCommitted } from './ensure-cold-committed.ts';
import { ensureColdSwitched } from './ensure-cold-switched.ts';
import { observeMergeProof } from './observe-merge-proof.ts';
import { ensureSnapshotRecords } from './ensure-snapshot-records.ts';
import { ensureJobForgotten } from './ensure-job-forgotten.ts';

export const mergeActivities = (deps: HostDeps) =>
  implement(mergeOnHost, guardOf(deps), {
    observeMergePlan: (input) => observeMergePlan(deps, input),
    ensureCommitStarted: (input, show) => ensureCommitStarted(deps, input, show),
    ensureBandwidth: (input) => ensureBandwidth(deps, input),
    awaitCommitReady: (input) => awaitCommitReady(deps, input),
    ensureCommitAborted: (input) => ensureCommitAborted(deps, input),
    ensurePivoted: (input) => ensurePivoted(deps, input),
    ensureColdCommitted: (input) => ensureColdCommitted(deps, input),
    ensureColdSwitched: (input) => ensureColdSwitched(deps, input),
    observeMergeProof: (input) => observeMergeProof(deps, input),
    ensureSnapshotRecords: (input) => ensureSnapshotRecords(deps, input),
    ensureJobForgotten: (input) => ensureJobForgotten(deps, input),
  });
