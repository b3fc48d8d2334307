/** Inputs and results of the activities on images, as `schemas.ts` has those of a merge. */
import { z } from 'zod';
import {
  copyImageInput,
  copyTarget,
  imagePlan,
  imageRef,
  imagePlanOutcome,
  moveImageInput,
  poolLease,
  removalPlan,
  removeImageInput,
  reservation,
} from '../../workflows/transfer/schemas.ts';
import type {
  ImageHostActivities,
  ImageStorageActivities,
} from '../../workflows/transfer/activities.ts';
import { namedVolume, sizeBytes, uuid, volumePath } from '../../workflows/chain/schemas.ts';
import type { Schemas } from './schemas.ts';

const nothing = z.void();
const reason = z.string();
const job = z.strictObject({ plan: imagePlan, jobId: uuid });
const volumeJob = job.extend({ at: z.int().nonnegative() });
type VolumeJob = z.output<typeof volumeJob>;
const isThere = ({ plan, at }: VolumeJob) => at < plan.volumes.length;
const isConverted = ({ plan, at }: VolumeJob) => plan.volumes[at]?.convert !== null;
const NO_VOLUME = 'the plan has no such volume';
const outcome = <T extends string>(name: T) => z.strictObject({ outcome: z.literal(name) });
const unheld = z.strictObject({ outcome: z.enum(['changed', 'in-use']), reason });
const uncopied = z.strictObject({ outcome: z.enum(['changed', 'in-use', 'failed']), reason });
const by = z.enum(['mirror', 'reflink', 'earlier run']);

export const imageHostSchemas = {
  observeImagePlan: {
    input: z.discriminatedUnion('operation', [
      moveImageInput.extend({ operation: z.literal('MoveImage') }),
      copyImageInput.extend({ operation: z.literal('CopyImage') }),
    ]),
    result: imagePlanOutcome,
  },
  ensureImageHeld: { input: job, result: z.union([outcome('held'), unheld]) },
  ensureVolumeCreated: {
    input: volumeJob.refine(isThere, NO_VOLUME).refine(isConverted, 'it is not converted'),
    result: z.union([outcome('created'), uncopied]),
  },
  ensureVolumeCopied: {
    input: volumeJob
      .extend({ bandwidthBytesPerSecond: sizeBytes, verify: z.enum(['full', 'none']) })
      .refine(isThere, NO_VOLUME),
    result: z.union([outcome('copied').extend({ by }), uncopied]),
  },
  ensureVolumeVerified: {
    input: volumeJob.refine(isThere, NO_VOLUME),
    result: z.strictObject({ same: z.boolean(), reason }),
  },
  ensureBackingNames: { input: job, result: nothing },
  ensureCopyBandwidth: {
    input: z.strictObject({ jobId: uuid, bandwidthBytesPerSecond: sizeBytes }),
    result: nothing,
  },
  ensureRecordSwitched: {
    input: job,
    result: z.union([
      outcome('switched'),
      z.strictObject({ outcome: z.enum(['not-switched', 'pool-away']), reason }),
    ]),
  },
  awaitPool: {
    input: z.strictObject({
      to: copyTarget,
      jobId: uuid,
      until: z.enum(['reserved', 'mounted']),
    }),
    result: nothing,
  },
  ensureImageReleased: { input: z.strictObject({ jobId: uuid }), result: nothing },
  ensureEarlierReleased: { input: z.strictObject({ image: imageRef }), result: nothing },
  observeRemovalPlan: { input: removeImageInput, result: removalPlan },
  observeUses: {
    input: z.strictObject({ volumes: z.array(namedVolume) }),
    result: z.array(
      z.strictObject({
        kind: z.enum(['domain', 'snapshot', 'child']),
        path: volumePath,
        by: z.string(),
      }),
    ),
  },
  observeLeases: { input: z.strictObject({}), result: z.array(poolLease) },
} satisfies Schemas<ImageHostActivities>;

export const imageStorageSchemas = {
  ensureImageReserved: {
    input: reservation,
    result: z.strictObject({ outcome: z.enum(['reserved', 'gone']) }),
  },
  ensureImageNamed: {
    input: job,
    result: z.union([outcome('named'), outcome('taken').extend({ path: volumePath })]),
  },
  ensureReservationAbsent: {
    input: z.strictObject({
      to: copyTarget,
      jobId: uuid,
      targets: z.enum(['keep', 'delete']),
      owners: z.array(uuid).nullable(),
    }),
    result: z.strictObject({
      outcome: z.enum(['removed', 'kept']),
      deleted: z.array(volumePath),
      regainedBytes: sizeBytes,
    }),
  },
  ensureVolumesWiped: {
    input: z.strictObject({ jobId: uuid, volumes: z.array(namedVolume) }),
    result: z.strictObject({ warnings: z.array(z.string()) }),
  },
} satisfies Schemas<ImageStorageActivities>;
