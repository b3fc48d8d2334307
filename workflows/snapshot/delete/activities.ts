/** What the host agent does to delete snapshots; the merges of their disks are LiveMerges. */
import { z } from 'zod';
import { defineActivities } from '../../operation/activities.ts';
import { plainText, uuid, vmName } from '../../operation/names.ts';
import { snapshotDeletion } from './plan.ts';
import { deleteSnapshotInput } from './request.ts';

export const snapshotDeletionOnHost = defineActivities({
  /** Which snapshots go, in which order, and the disks that still have layers of them. */
  observeSnapshotDeletion: {
    input: deleteSnapshotInput,
    result: snapshotDeletion,
    beats: 'while working',
  },
  /** libvirt does not list the snapshot any more. */
  ensureSnapshotForgotten: {
    input: z.strictObject({ vm: vmName, vmUuid: uuid, name: plainText }),
    result: z.void(),
    beats: 'while working',
  },
});
