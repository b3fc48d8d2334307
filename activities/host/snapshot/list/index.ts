/** What the host agent does to list snapshots. */
import { snapshotListOnHost } from '../../../../workflows/snapshot/list/activities.ts';
import { implement } from '../../../door/implement.ts';
import type { HostDeps } from '../../deps.ts';
import { guardOf } from '../../pools/boundary.ts';
import { observeSnapshotTree } from './observe-snapshot-tree.ts';

export const snapshotListActivities = (deps: HostDeps) =>
  implement(snapshotListOnHost, guardOf(deps), {
    observeSnapshotTree: (input) => observeSnapshotTree(deps, input),
  });
