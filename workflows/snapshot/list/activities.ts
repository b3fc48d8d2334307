/** What the host agent does to list snapshots. */
import { defineActivities } from '../../operation/activities.ts';
import { snapshotQuestion } from './request.ts';
import { snapshotTree } from './schemas.ts';

export const snapshotListOnHost = defineActivities({
  /** The snapshots that libvirt lists, and those that only storage has. */
  observeSnapshotTree: { input: snapshotQuestion, result: snapshotTree, beats: 'while working' },
});
