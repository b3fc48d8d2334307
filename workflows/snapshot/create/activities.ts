/** What agents do to take a snapshot. */
import { z } from 'zod';
import { defineActivities } from '../../operation/activities.ts';
import { poolName, uuid, volumePath } from '../../operation/names.ts';
import { overlay, overlayReservation, snapshotPlan, snapshotPlanOutcome } from './plan.ts';
import { createSnapshotInput } from './request.ts';

const reason = z.string();

const taking = z.strictObject({ plan: snapshotPlan, jobId: uuid, overlays: z.array(overlay) });
export type Taking = z.infer<typeof taking>;

const milliseconds = z.number().nonnegative();

const takenOutcome = z.discriminatedUnion('outcome', [
  z.strictObject({
    outcome: z.literal('taken'),
    /** How long the guest stood still; null when the one that measured it died. */
    stallMs: milliseconds.nullable(),
    /** Whether its file systems were frozen then. */
    quiesced: z.boolean(),
    warnings: z.array(z.string()),
  }),
  /** All views show the bases, and nothing has written to an overlay. */
  z.strictObject({ outcome: z.enum(['not-taken', 'not-frozen']), reason }),
  /** It was started, has stopped, or has other layers, since it was planned. */
  z.strictObject({ outcome: z.literal('changed'), reason }),
]);
export type TakenOutcome = z.infer<typeof takenOutcome>;

/** Of the host agent. */
export const snapshotOnHost = defineActivities({
  observeSnapshotPlan: {
    input: createSnapshotInput,
    result: snapshotPlanOutcome,
    beats: 'while working',
  },
  /** The VM's disks write to the overlays, and its record names them; all or none. */
  ensureSnapshotTaken: { input: taking, result: takenOutcome, beats: 'while working' },
  /** Whether an earlier attempt has taken it, once nothing of that is left half done. */
  ensureSnapshotSettled: {
    input: taking,
    result: takenOutcome,
    beats: 'while working',
    files: 'only compared',
  },
  /** libvirt lists it. */
  ensureSnapshotListed: { input: taking, result: z.void(), beats: 'while working' },
});

/** Of the SPM agent of a pool. */
export const snapshotOnStorage = defineActivities({
  /** Empty overlays under their final names, over the bases of this pool. */
  ensureOverlaysCreated: {
    input: overlayReservation.extend({ pool: poolName }),
    result: z.discriminatedUnion('outcome', [
      z.strictObject({ outcome: z.literal('created'), overlays: z.array(overlay) }),
      z.strictObject({ outcome: z.literal('taken'), path: volumePath }),
    ]),
    beats: 'while working',
  },
});
