/** What the host agent does to delete snapshots; the merges of their disks are LiveMerges. */
import { z } from 'zod';
import { defineActivities } from '../../operation/activities.ts';
import { plainText, sizeBytes, uuid, vmName } from '../../operation/names.ts';
import { innerPart, snapshotDeletion } from './plan.ts';
import { deleteSnapshotInput } from './request.ts';

export const snapshotDeletionOnHost = defineActivities({
  /** Which snapshots go, in which order, and the disks that still have layers of them. */
  observeSnapshotDeletion: {
    input: deleteSnapshotInput,
    result: snapshotDeletion,
    beats: 'while working',
  },
  /** The image does not have it inside any more; by QEMU while the VM runs, else by ourselves. */
  ensureInnerSnapshotAbsent: {
    input: z.strictObject({
      vm: vmName,
      vmUuid: uuid,
      part: innerPart,
      /** All that go with it: while the VM runs, its name goes from all disks at once. */
      parts: z.array(innerPart),
    }),
    result: z.strictObject({ regainedBytes: sizeBytes }),
    beats: 'while working',
  },
  /** libvirt does not list the snapshot any more. */
  ensureSnapshotForgotten: {
    input: z.strictObject({ vm: vmName, vmUuid: uuid, name: plainText }),
    result: z.void(),
    beats: 'while working',
  },
});
