/** What agents do to go back to a snapshot. */
import { z } from 'zod';
import { copyTarget, namedVolume } from '../../chain/references.ts';
import { defineActivities } from '../../operation/activities.ts';
import { plainName, sizeBytes, uuid, vmName, volumePath } from '../../operation/names.ts';
import { overlay } from '../create/plan.ts';
import { diskSwitch, revertNote, revertPlanOutcome } from './plan.ts';
import { revertSnapshotInput } from './request.ts';

const vmNamed = z.strictObject({ vm: vmName, vmUuid: uuid });

/** Of the host agent. */
export const revertOnHost = defineActivities({
  observeRevertPlan: {
    input: revertSnapshotInput,
    result: revertPlanOutcome,
    beats: 'while working',
  },
  /** The record names the other layers, on all disks or none. */
  ensureDisksSwitched: {
    input: diskSwitch,
    result: z.discriminatedUnion('outcome', [
      z.strictObject({ outcome: z.literal('switched') }),
      z.strictObject({ outcome: z.enum(['changed', 'refused']), reason: z.string() }),
    ]),
    beats: 'while working',
  },
  /** libvirt's tree grows from this snapshot. */
  ensureSnapshotCurrent: {
    input: vmNamed.extend({ name: plainName }),
    result: z.void(),
    beats: 'while working',
  },
  /** Null when it runs; else why it does not, in libvirt's words. */
  ensureVmStarted: { input: vmNamed, result: z.nullable(z.string()), beats: 'while working' },
});

const noted = z.strictObject({ note: revertNote, to: copyTarget });

/** Of the SPM agent of a pool. */
export const revertOnStorage = defineActivities({
  /** Empty overlays under their final names, over the snapshot's layers in this pool. */
  ensureRevertReserved: {
    input: noted,
    result: z.discriminatedUnion('outcome', [
      z.strictObject({ outcome: z.literal('created'), overlays: z.array(overlay) }),
      z.strictObject({ outcome: z.literal('taken'), path: volumePath }),
    ]),
    beats: 'while working',
  },
  /** What the disks have left is in quarantine, and the note says so. */
  ensureLayersRetired: { input: noted, result: z.void(), beats: 'while working' },
  /** What is in quarantine has its name again. `gone`: it is being deleted. */
  ensureLayersRestored: {
    input: noted,
    result: z.discriminatedUnion('outcome', [
      z.strictObject({ outcome: z.literal('restored') }),
      z.strictObject({ outcome: z.enum(['taken', 'gone']), path: volumePath }),
    ]),
    beats: 'while working',
  },
  /** Deletes what is in quarantine. `unsettled`: not yet; `kept`: another run has it. */
  ensureRetiredAbsent: {
    input: z.strictObject({
      jobId: uuid,
      owner: uuid,
      to: copyTarget,
      volumes: z.array(namedVolume),
    }),
    result: z.strictObject({
      outcome: z.enum(['removed', 'kept', 'unsettled']),
      deleted: z.array(volumePath),
      regainedBytes: sizeBytes,
    }),
    beats: 'while working',
  },
});
