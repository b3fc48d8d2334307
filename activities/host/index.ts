/**
 * Activities of the host agent: they run on the VM's hypervisor, with the right to its libvirt
 * socket.
 */
import type { HostActivities } from '../../workflows/contract.ts';
import type { ImageHostActivities } from '../../workflows/move-contract.ts';
import { beating } from '../beating.ts';
import { hostSchemas, parsing } from '../schemas.ts';
import { awaitCommitReady } from './await-commit-ready.ts';
import { ensureColdCommitted } from './ensure-cold-committed.ts';
import { ensureColdSwitched } from './ensure-cold-switched.ts';
import type { HostDeps } from './deps.ts';
import { ensureBandwidth, ensureCommitAborted } from './ensure-commit-started.ts';
import { ensureCommitStarted } from './ensure-commit-started.ts';
import { ensurePivoted } from './ensure-pivoted.ts';
import { ensureSnapshotRecords } from './ensure-snapshot-records.ts';
import { createImageHostActivities } from './image-activities.ts';
import { ensureJobForgotten } from './job-record.ts';
import { observeChain, toObservation } from './observe-chain.ts';
import { observeMergePlan } from './observe-merge-plan.ts';
import { observeMergeProof } from './observe-merge-proof.ts';
import { awaitDiskIdle, awaitSpace } from './waits.ts';

export function createHostActivities(deps: HostDeps): HostActivities & ImageHostActivities {
  return {
    ...createImageHostActivities(deps),
    ...parsing<HostActivities>(hostSchemas, mergeActivities(deps)),
  };
}

function mergeActivities(deps: HostDeps): HostActivities {
  return {
    observePresence: () => Promise.resolve(),
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
