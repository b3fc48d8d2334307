/** The plan of a deletion of snapshots, as the host agent and its merges make it. */
import { z } from 'zod';
import { namedVolume } from '../../chain/references.ts';
import { planOutcome } from '../../merge/plan.ts';
import { diskTarget, hostName, plainText, sizeBytes, uuid, vmName } from '../../operation/names.ts';

const memory = z.strictObject({
  file: z.string(),
  allocatedBytes: sizeBytes,
  /** Null for a file that stays. */
  volume: z.nullable(namedVolume),
  /** Why it stays, in words; null for a file that goes. */
  stays: z.string().nullable(),
});

const goingSnapshot = z.strictObject({
  name: plainText,
  /** ISO 8601. */
  takenAt: z.string().nullable(),
  /** Disks that still have a layer of it. */
  disks: z.array(diskTarget),
  memory: memory.nullable(),
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
