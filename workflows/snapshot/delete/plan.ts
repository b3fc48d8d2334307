/** The plan of a deletion of snapshots, as the host agent and its merges make it. */
import { z } from 'zod';
import { namedVolume } from '../../chain/references.ts';
import { planOutcome } from '../../merge/plan.ts';
import { diskTarget, hostName, plainText, sizeBytes, uuid, vmName } from '../../operation/names.ts';
import { innerHandle } from './request.ts';

const memory = z.strictObject({
  file: z.string(),
  allocatedBytes: sizeBytes,
  /** Null for a file that stays. */
  volume: z.nullable(namedVolume),
  /** Why it stays, in words; null for a file that goes. */
  stays: z.string().nullable(),
});

/** A snapshot inside of one image. */
export const innerPart = z.strictObject({
  disk: diskTarget,
  /** The image: the active layer of the disk, or one below it. */
  volume: namedVolume,
  handle: innerHandle,
  /** Since 1970: an id is given again when its snapshot is gone. */
  takenSeconds: z.int().nonnegative(),
});
export type InnerPart = z.infer<typeof innerPart>;

const inside = z.strictObject({
  parts: z.array(innerPart),
  /** Disks that libvirt's record names, and whose images do not have it (any more). */
  gone: z.array(diskTarget),
  /** It stays as long as an image has another one of this name. */
  record: z.enum(['goes', 'stays', 'none']),
  /** Those of its disks, to be checked when none has it any more. */
  images: z.array(namedVolume),
  warnings: z.array(z.string()),
});

const goingSnapshot = z.strictObject({
  name: plainText,
  /** ISO 8601. */
  takenAt: z.string().nullable(),
  /** Disks that still have a layer of it. */
  disks: z.array(diskTarget),
  /** Disks that the VM does not have any more, and the layers of it that stay. */
  detached: z.array(z.strictObject({ disk: plainText, layer: z.string() })).optional(),
  memory: memory.nullable(),
  /** Of one inside of images; without it the snapshot is one of layers. */
  inside: inside.optional(),
});
export type GoingSnapshot = z.infer<typeof goingSnapshot>;

export const snapshotDeletion = z.strictObject({
  vm: vmName,
  vmUuid: uuid,
  host: hostName,
  /** In the order of their deletion: leaves first. */
  snapshots: z.array(goingSnapshot),
});
export type SnapshotDeletion = z.infer<typeof snapshotDeletion>;

const diskPlan = z.strictObject({ snapshot: plainText, disk: diskTarget, outcome: planOutcome });
export type DiskPlan = z.infer<typeof diskPlan>;

/** Disks that this deletion merged before, of all that it is about. */
const mergedBefore = z.strictObject({ snapshot: plainText, disk: plainText });

export const deletionPlan = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('plan'),
    deletion: snapshotDeletion,
    disks: z.array(diskPlan),
    /** Refused disks of a deletion that has merged others: they stop nothing any more. */
    refused: z.array(
      z.strictObject({ snapshot: plainText, disk: diskTarget, why: z.string(), next: z.string() }),
    ),
    merged: z.array(mergedBefore),
  }),
  z.strictObject({ kind: z.literal('done'), reason: z.string() }),
]);
export type DeletionPlan = z.infer<typeof deletionPlan>;
