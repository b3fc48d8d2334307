/**
 * Activities of the host agent: they run on the VM's hypervisor, with the right to its libvirt
 * socket.
 */
import type { HostActivities } from '../../workflows/operation/contract.ts';
import type { ImageHostActivities } from '../../workflows/transfer/activities.ts';
import { beating } from '../door/attempt.ts';
import { hostSchemas, parsing } from '../door/schemas.ts';
import { awaitCommitReady } from './merge/await-commit-ready.ts';
import { ensureColdCommitted } from './merge/ensure-cold-committed.ts';
import { ensureColdSwitched } from './merge/ensure-cold-switched.ts';
import type { HostDeps } from './deps.ts';
import { ensureCommitStarted } from './merge/ensure-commit-started.ts';
import { ensureBandwidth } from './merge/ensure-bandwidth.ts';
import { ensureCommitAborted } from './merge/ensure-commit-aborted.ts';
import { ensureJobForgotten } from './merge/ensure-job-forgotten.ts';
import { awaitDiskIdle } from './chain/await-disk-idle.ts';
import { awaitSpace } from './pools/await-space.ts';
import { ensurePivoted } from './merge/ensure-pivoted.ts';
import { ensureSnapshotRecords } from './merge/ensure-snapshot-records.ts';
import { createImageHostActivities } from './transfer/index.ts';
import { observeChain, toObservation } from './chain/observe-chain.ts';
import { observeMergePlan } from './merge/observe-merge-plan.ts';
import { observeMergeProof } from './merge/observe-merge-proof.ts';
import { observePresence } from '../door/observe-presence.ts';

export function createHostActivities(deps: HostDeps): HostActivities & ImageHostActivities {
  return {
    ...createImageHostActivities(deps),
    ...parsing<HostActivities>(hostSchemas, mergeActivities(deps)),
  };
}

function mergeActivities(deps: HostDeps): HostActivities {
  return {
    observePresence,
    observeChain: beating(async (ref) => toObservation(deps, await observeChain(deps, ref))),
    observeMergePlan: beating((input) => observeMergePlan(deps, input)),
    awaitDiskIdle: (ref) => awaitDiskIdle(deps, ref),
    awaitSpace,
    ensureCommitStarted: beating((input) => ensureCommitStarted(deps, input)),
    ensureBandwidth: beating((input) => ensureBandwidth(deps, input)),
    awaitCommitReady: (input) => awaitCommitReady(deps, input),
    ensureCommitAborted: beating((input) => ensureCommitAborted(deps, input)),
    ensurePivoted: beating((input) => ensurePivoted(deps, input)),
    ensureColdCommitted: (input) => ensureColdCommitted(deps, input),
    ensureColdSwitched: beating((input) => ensureColdSwitched(deps, input)),
    observeMergeProof: beating((input) => observeMergeProof(deps, input)),
    ensureSnapshotRecords: beating((input) => ensureSnapshotRecords(deps, input)),
    ensureJobForgotten: beating((input) => ensureJobForgotten(deps, input)),
  };
}
