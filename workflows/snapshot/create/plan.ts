/** The plan of a snapshot, as the host agent makes it. */
import { z } from 'zod';
import { copyTarget, namedVolume } from '../../chain/references.ts';
import {
  backingName,
  diskTarget,
  hostName,
  imageFormat,
  newFileName,
  foundFileName,
  plainText,
  sizeBytes,
  uuid,
  vmName,
} from '../../operation/names.ts';
import { insidePlan } from '../inside/plan.ts';

/** One disk of it: the layer that the guest writes now, and the one that it is to write. */
export const plannedDisk = z.strictObject({
  disk: diskTarget,
  base: namedVolume,
  baseFormat: imageFormat,
  virtualSizeBytes: sizeBytes,
  /** Of the base; null where QEMU's own default is right. */
  clusterBytes: z.nullable(sizeBytes),
  extendedL2: z.boolean(),
  /** Pool of base and overlay. */
  to: copyTarget,
  /** File name of the overlay. */
  name: foundFileName,
  /** Of the base, for the header of the overlay. */
  backingName,
});

export const snapshotPlan = z.strictObject({
  vm: vmName,
  vmUuid: uuid,
  host: hostName,
  /** Whether the VM has a record that must follow. */
  persistent: z.boolean(),
  running: z.boolean(),
  snapshot: newFileName,
  description: plainText,
  /** Seconds since 1970. */
  createdAt: z.int().nonnegative(),
  quiesce: z.enum(['no', 'try', 'require']),
  disks: z.array(plannedDisk).min(1),
  /** Disks that it leaves out, and why. */
  left: z.array(z.strictObject({ disk: diskTarget, why: plainText })),
  warnings: z.array(z.string()),
});
export type SnapshotPlan = z.infer<typeof snapshotPlan>;
export type PlannedDisk = z.infer<typeof plannedDisk>;

/**
 * `.blockflow/<job>/<owner>.json` in each pool of overlays: whose they are, for the next run after
 * a terminate.
 */
export const overlayReservation = z.strictObject({
  jobId: uuid,
  owner: uuid,
  workflow: plainText,
  snapshot: snapshotPlan,
});

/** An overlay that is there: its file says that it is ours (I6). */
export const overlay = z.strictObject({ disk: diskTarget, volume: namedVolume });
export type Overlay = z.infer<typeof overlay>;

/** What an earlier run on this VM has left in its pools. */
const unfinished = z.strictObject({
  jobId: uuid,
  plan: snapshotPlan,
  overlays: z.array(overlay),
});

export const snapshotPlanOutcome = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('plan'), plan: snapshotPlan }),
  /** That is completed, or undone, before anything else. */
  z.strictObject({ kind: z.literal('unfinished'), earlier: unfinished }),
]);
export type Unfinished = z.infer<typeof unfinished>;
export type SnapshotPlanOutcome = z.infer<typeof snapshotPlanOutcome>;

/** What `snapshot create --dry-run` is answered. */
export const creationPlan = z.discriminatedUnion('kind', [
  ...snapshotPlanOutcome.options,
  z.strictObject({ kind: z.literal('inside'), plan: insidePlan }),
]);
export type CreationPlan = z.infer<typeof creationPlan>;
