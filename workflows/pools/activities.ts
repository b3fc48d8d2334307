/** What agents do for the pools of every operation. */
import { z } from 'zod';
import { copyTarget, namedVolume } from '../chain/references.ts';
import { defineActivities } from '../operation/activities.ts';
import { sizeBytes, uuid, volumePath } from '../operation/names.ts';

/** A pool and its SPM, as `blockflow spm` shows them. */
export const poolLease = z.strictObject({
  pool: z.string(),
  type: z.string(),
  /** Why no agent can serve this pool; null for a file pool. */
  unserved: z.string().nullable(),
  /** The present holder of the lease, or the last one; null when there never was one. */
  last: z
    .strictObject({
      version: z.int().positive(),
      holder: z.string(),
      /** ISO 8601. */
      since: z.string(),
      isHeld: z.boolean(),
    })
    .nullable(),
});
export type PoolLease = z.infer<typeof poolLease>;

const awaitedPool = z.strictObject({
  to: copyTarget,
  jobId: uuid,
  until: z.enum(['reserved', 'mounted']),
});
export type AwaitedPool = z.infer<typeof awaitedPool>;

/** Of the host agent. */
export const poolsOnHost = defineActivities({
  /** Until the file system of a path has so much space. */
  awaitSpace: {
    input: z.strictObject({ path: volumePath, neededBytes: sizeBytes }),
    result: z.void(),
    beats: 'by itself',
  },
  /** Until the target pool holds the reservation again, or one sees that it does not. */
  awaitPool: { input: awaitedPool, result: z.void(), beats: 'by itself' },
  /** The active pools of the host, and who may change what is in them. */
  observeLeases: {
    input: z.strictObject({}),
    result: z.array(poolLease),
    beats: 'while working',
  },
});

const unwantedReservation = z.strictObject({
  to: copyTarget,
  jobId: uuid,
  /** The copies stay under their final names, or go too. */
  targets: z.enum(['keep', 'delete']),
  /** Nothing is deleted that is none of theirs; null: of any owner. */
  owners: z.array(uuid).nullable(),
});
export type UnwantedReservation = z.infer<typeof unwantedReservation>;

/** `kept`: another run has adopted it. */
const reservationEnd = z.strictObject({
  outcome: z.enum(['removed', 'kept']),
  deleted: z.array(volumePath),
  regainedBytes: sizeBytes,
});
export type ReservationEnd = z.infer<typeof reservationEnd>;

const deletion = z.strictObject({ jobId: uuid, volumes: z.array(namedVolume) });

/** Of the SPM agent: all that deletes. */
export const poolsOnStorage = defineActivities({
  ensureVolumesAbsent: {
    input: deletion,
    result: z.strictObject({ deleted: z.array(volumePath), regainedBytes: sizeBytes }),
    beats: 'while working',
  },
  /** Tells what was not overwritten, or may not have been. */
  ensureVolumesWiped: {
    input: deletion,
    result: z.strictObject({ warnings: z.array(z.string()) }),
    beats: 'while working',
  },
  ensureReservationAbsent: {
    input: unwantedReservation,
    result: reservationEnd,
    beats: 'while working',
  },
});
