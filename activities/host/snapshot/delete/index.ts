/** What the host agent does to delete snapshots. */
import { snapshotDeletionOnHost } from '../../../../workflows/snapshot/delete/activities.ts';
import { implement } from '../../../door/implement.ts';
import type { HostDeps } from '../../deps.ts';
import { guardOf } from '../../pools/boundary.ts';
import { ensureInnerSnapshotAbsent } from './ensure-inner-snapshot-absent.ts';
import { ensureSnapshotForgotten } from './ensure-snapshot-forgotten.ts';
import { observeSnapshotDeletion } from './observe-snapshot-deletion.ts';

export const snapshotDeletionActivities = (deps: HostDeps) =>
  implement(snapshotDeletionOnHost, guardOf(deps), {
    observeSnapshotDeletion: (input) => observeSnapshotDeletion(deps, input),
    ensureInnerSnapshotAbsent: (input) => ensureInnerSnapshotAbsent(deps, input),
    ensureSnapshotForgotten: (input) => ensureSnapshotForgotten(deps, input),
  });
