/** What the host agent does to go back to a snapshot. */
import { revertOnHost } from '../../../../workflows/snapshot/revert/activities.ts';
import { implement } from '../../../door/implement.ts';
import type { HostDeps } from '../../deps.ts';
import { guardOf } from '../../pools/boundary.ts';
import { ensureDisksSwitched } from './ensure-disks-switched.ts';
import { ensureSnapshotCurrent } from './ensure-snapshot-current.ts';
import { ensureVmStarted } from './ensure-vm-started.ts';
import { observeRevertPlan } from './observe-revert-plan.ts';

export const revertActivities = (deps: HostDeps) =>
  implement(revertOnHost, guardOf(deps), {
    observeRevertPlan: (input) => observeRevertPlan(deps, input),
    ensureDisksSwitched: (input) => ensureDisksSwitched(deps, input),
    ensureSnapshotCurrent: (input) => ensureSnapshotCurrent(deps, input),
    ensureVmStarted: (input) => ensureVmStarted(deps, input),
  });
