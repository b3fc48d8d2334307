/** The plan of a move and of a copy, as the host agent makes it. */
import { z } from 'zod';
import { copyTarget } from '../chain/references.ts';
import { notTouched } from '../operation/activities.ts';
import {
  backingName,
  diskTarget,
  fileIdentity,
  foundFileName,
  hostName,
  imageFormat,
  plainText,
  sizeBytes,
  uuid,
  vmName,
  volumePath,
} from '../operation/names.ts';
import { preallocation } from './request.ts';

/** One volume of the image: where it is, what it was when it was planned, and what it becomes. */
export const imageVolume = z.strictObject({
  path: volumePath,
  pool: plainText,
  format: imageFormat,
  identity: fileIdentity,
  sizeBytes,
  allocatedBytes: sizeBytes,
  /** Every write changes it; a start that writes nothing does not. */
  modifiedNs: z.string().regex(/^\d+$/),
  /** File name in the target pool. */
  name: foundFileName,
  /** Backing name for the header of the copy, null where the copy's header is right as it is. */
  rebase: z.strictObject({ name: backingName, format: imageFormat }).nullable(),
  /** The new container that the copy is written into; null for the same bytes. */
  convert: z
    .strictObject({ format: imageFormat, preallocation, virtualSizeBytes: sizeBytes })
    .nullable()
    .default(null),
});

/** What the active layer of a running VM is mirrored into. */
const liveTop = z.strictObject({
  virtualSizeBytes: sizeBytes,
  backing: z.strictObject({ name: backingName, format: imageFormat }).nullable(),
  /** Null for QEMU's default. */
  clusterBytes: z.nullable(sizeBytes),
  extendedL2: z.boolean(),
  /** How its mirror writes; absent in old plans. */
  synchronousWrites: z.boolean().default(false),
  /** The mirror of the run that is adopted still runs. */
  isMirrored: z.boolean(),
});
export type LiveTop = z.infer<typeof liveTop>;

/** What an earlier run reserved in another pool than the one that is copied to now. */
const reservedElsewhere = z.strictObject({
  jobId: uuid,
  owner: uuid,
  to: copyTarget,
  /** Of the active layer. */
  volume: foundFileName,
  format: imageFormat,
  /** Its copies are already in use, and stay. */
  isUsed: z.boolean(),
});

export const imagePlan = z.strictObject({
  host: hostName,
  /** Whose record is switched; null for a copy and for a standalone image. */
  vm: z.strictObject({ name: vmName, uuid, disk: diskTarget }).nullable(),
  to: copyTarget,
  /** Base-most first. */
  volumes: z.array(imageVolume).min(1),
  /** One volume takes the place of all: that of the active layer, which is rewritten. */
  flatten: z.boolean().optional(),
  /** libvirt's snapshots whose metadata must follow, parents first. */
  snapshots: z.array(plainText),
  totalBytes: sizeBytes,
  spaceNeededBytes: sizeBytes,
  spaceFreeBytes: sizeBytes,
  /** Of the whole file system. Absent in old plans. */
  spaceTotalBytes: z.optional(sizeBytes),
  /** As asked for, or stricter: as what it adopts was. A manifest that does not say is of none. */
  verify: z.enum(['full', 'none']).default('none'),
  /** What an earlier run reserved, which this one goes on with. */
  adopted: z
    .strictObject({
      jobId: uuid,
      owner: uuid,
      /** Its copy of the active layer is a mirror's, of a VM that is down now: it is made again. */
      hasMirroredTop: z.boolean().optional(),
    })
    .nullable(),
  /** Reservations of earlier runs that are of no use any more. */
  leftovers: z.array(uuid),
  /** Those whose copies are already in use: the copies stay. */
  usedLeftovers: z.array(uuid),
  /** Those of either kind in other pools. */
  elsewhere: notTouched(z.array(reservedElsewhere)).default([]),
  /** True when the record names the copies already, and only the source's deletion remains. */
  switched: z.boolean(),
  /** Other hosts that share the pools of a moved image: they are asked who uses it. */
  sharedWith: notTouched(z.array(hostName)),
  /** Of an image that a running VM has open; null for any other. Absent in old plans. */
  live: liveTop.nullable().default(null),
  /** What was not looked at or does not follow, for users. Absent in old plans. */
  warnings: z.array(z.string()).optional(),
});

/** What is waited for before a plan can be made. */
export const lack = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('no-space'),
    path: volumePath,
    neededBytes: sizeBytes,
    freeBytes: sizeBytes,
  }),
  /** The file system of the target is not there; `to` names it by its id. */
  z.strictObject({ kind: z.literal('pool-away'), to: copyTarget, reason: z.string() }),
]);

export const imagePlanOutcome = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('plan'), plan: imagePlan }),
  z.strictObject({ kind: z.literal('done'), chain: z.array(volumePath), reason: z.string() }),
  ...lack.options,
]);

/**
 * `.blockflow/<job>/<owner>.json` in the target pool: whose reservation it is, for the next run
 * after a terminate. The owner is one run of the workflow, by an id of its own.
 */
export const reservation = z.strictObject({
  jobId: uuid,
  owner: uuid,
  workflow: plainText,
  plan: imagePlan,
});

export type ImageVolume = z.infer<typeof imageVolume>;
export type Conversion = NonNullable<ImageVolume['convert']>;
export type ImagePlan = z.infer<typeof imagePlan>;
export type ImagePlanOutcome = z.infer<typeof imagePlanOutcome>;
export type Reservation = z.infer<typeof reservation>;
