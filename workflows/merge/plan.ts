/** The plan of a merge, as the host agent makes it. */
import { z } from 'zod';
import { jobRecord, snapshotChange, volume, blockJob } from '../chain/schemas.ts';
import { namedVolume } from '../chain/references.ts';
import { notTouched } from '../operation/activities.ts';
import { diskTarget, hostName, sizeBytes, uuid, vmName, volumePath } from '../operation/names.ts';

export const mergePlan = z.strictObject({
  vm: vmName,
  vmUuid: uuid,
  disk: diskTarget,
  host: hostName,
  mode: z.enum(['active', 'inner', 'cold']),
  /** Whether there is a persistent XML with this disk. */
  persistent: z.boolean(),
  /** Null for a new job; the record found when an earlier run's job is adopted. */
  adopted: notTouched(jobRecord.nullable()),
  /** True when the chain already lacks the committed volumes and only deletion remains. */
  alreadyMerged: z.boolean(),
  /** Layers below base may be in no pool. */
  chainBefore: notTouched(z.array(volume).min(1)),
  top: volume,
  base: volume,
  /** The volume above top, whose backing file becomes base; null when top is the active layer. */
  overlay: volume.nullable(),
  /** When it was modified last, before QEMU or qemu-img writes its header. Absent in old plans. */
  overlayModifiedNs: notTouched(z.string().regex(/^\d+$/).nullable()).optional(),
  /** Volumes that leave the chain: above base, up to and including top. */
  committed: z.array(volume),
  deletes: z.array(namedVolume),
  snapshots: z.array(snapshotChange),
  spaceNeededBytes: sizeBytes,
  spaceFreeBytes: sizeBytes,
  /** Other hosts that have a pool of these volumes: to be asked who uses them there. */
  sharedWith: notTouched(z.array(hostName)),
  /** What was not looked at or does not follow, for users. Absent in old plans. */
  warnings: z.array(z.string()).optional(),
});

export const planOutcome = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('plan'), plan: mergePlan }),
  z.strictObject({ kind: z.literal('done'), chain: z.array(volume), reason: z.string() }),
  z.strictObject({ kind: z.literal('busy'), job: blockJob, reason: z.string() }),
  z.strictObject({
    kind: z.literal('no-space'),
    path: volumePath,
    neededBytes: sizeBytes,
    freeBytes: sizeBytes,
  }),
]);

export type MergePlan = z.infer<typeof mergePlan>;
export type PlanOutcome = z.infer<typeof planOutcome>;
