/** What the host agent does for snapshots of whole VMs. */
import { snapshotOnHost } from '../../../workflows/snapshot/create/activities.ts';
import { implement } from '../../door/implement.ts';
import type { HostDeps } from '../deps.ts';
import { guardOf } from '../pools/boundary.ts';
import { ensureSnapshotListed } from './ensure-snapshot-listed.ts';
import { ensureSnapshotTaken } from './ensure-snapshot-taken.ts';
import { observeSnapshotPlan } from './planning/observe-snapshot-plan.ts';
import { ensureSnapshotSettled } from './ensure-snapshot-settled.ts';

export const snapshotActivities = (deps: HostDeps) =>
  implement(snapshotOnHost, guardOf(deps), {
    observeSnapshotPlan: (input) => observeSnapshotPlan(deps, input),
    ensureSnapshotTaken: (input) => ensureSnapshotTaken(deps, input),
    ensureSnapshotSettled: (input) => ensureSnapshotSettled(deps, input),
    ensureSnapshotListed: (input) => ensureSnapshotListed(deps, input),
  });
