/** What agents do for a move and for a copy. */
import { z } from 'zod';
import { imageRef } from '../chain/references.ts';
import { defineActivities, inTurn } from '../operation/activities.ts';
import { diskTarget, sizeBytes, uuid, volumePath } from '../operation/names.ts';
import { imagePlan, imagePlanOutcome, reservation } from './plan.ts';
import { planRequest } from './request.ts';

const reason = z.string();

const job = z.strictObject({ plan: imagePlan, jobId: uuid });
export type ImageJob = z.infer<typeof job>;

/** One volume of the image, by its place in the plan. */
const volumeJob = job.extend({ at: z.int().nonnegative() });
export type VolumeJob = z.infer<typeof volumeJob>;
const isThere = ({ plan, at }: VolumeJob) => at < plan.volumes.length;
const isConverted = ({ plan, at }: VolumeJob) => plan.volumes[at]?.convert !== null;
const NO_VOLUME = 'the plan has no such volume';

const outcome = <T extends string>(name: T) => z.strictObject({ outcome: z.literal(name) });
/** `changed`: the source was written to since it was planned: it must be planned again. */
const notHeld = z.strictObject({ outcome: z.enum(['changed', 'in-use']), reason });
const notCopied = z.strictObject({ outcome: z.enum(['changed', 'in-use', 'failed']), reason });
export type CopyFailure = z.infer<typeof notCopied>;

const holdOutcome = z.union([outcome('held'), notHeld]);
export type HoldOutcome = z.infer<typeof holdOutcome>;

const copyOutcome = z.union([
  outcome('copied').extend({ by: z.enum(['mirror', 'reflink', 'earlier run']) }),
  notCopied,
]);
export type CopyOutcome = z.infer<typeof copyOutcome>;

/** `lost`: there is none (any more), or it can never be pivoted: another file, another mirror. */
const lost = outcome('lost').extend({ reason });
const stopped = outcome('vm-stopped').extend({ reason });
/** The mirror was ended at READY, and its copy is complete. */
const kept = outcome('kept');
const limitedJob = job.extend({ bandwidthBytesPerSecond: sizeBytes });

const stallMs = z.number().nullable();
const switchOutcome = z.union([
  outcome('pivoted').extend({ stallMs }),
  /** `isBehind`: the mirror had more left to write than fits into the suspension. */
  outcome('not-ready').extend({ reason, isBehind: z.literal(true).optional() }),
  z.strictObject({ outcome: z.enum(['changed', 'pool-away']), reason }),
  lost,
  stopped,
]);
/** Of a mirror that is ended, or that has switched already. */
const endOutcome = z.union([switchOutcome, kept.extend({ stallMs })]);
/** Longest suspension of the guest, in which the mirror writes what it has left. */
const settleMs = z.int().positive().optional();
const settledJob = job.extend({ settleMs });

/** Of the host agent. */
export const transferOnHost = defineActivities({
  observeImagePlan: { input: planRequest, result: imagePlanOutcome, beats: 'while working' },
  /** One daemon holds all volumes: no other process can write to them. */
  ensureImageHeld: { input: inTurn(job), result: holdOutcome, beats: 'while working' },
  /** Of a volume that is converted: the empty image that its copy is written into. */
  ensureVolumeCreated: {
    input: volumeJob.refine(isThere, NO_VOLUME).refine(isConverted, 'it is not converted'),
    result: z.union([outcome('created'), notCopied]),
    beats: 'while working',
  },
  ensureVolumeCopied: {
    input: volumeJob
      .extend({ bandwidthBytesPerSecond: sizeBytes, verify: z.enum(['full', 'none']) })
      .refine(isThere, NO_VOLUME),
    result: copyOutcome,
    beats: 'while working',
  },
  ensureVolumeVerified: {
    input: volumeJob.refine(isThere, NO_VOLUME),
    result: z.strictObject({ same: z.boolean(), reason }),
    beats: 'while working',
  },
  /** The headers of the copies name the copies. */
  ensureBackingNames: { input: job, result: z.void(), beats: 'while working' },
  ensureCopyBandwidth: {
    input: z.strictObject({ jobId: uuid, bandwidthBytesPerSecond: sizeBytes }),
    result: z.void(),
    beats: 'while working',
  },
  ensureRecordSwitched: {
    input: job,
    result: z.union([
      outcome('switched'),
      z.strictObject({ outcome: z.enum(['not-switched', 'pool-away', 'gone', 'refused']), reason }),
    ]),
    beats: 'while working',
  },
  ensureImageReleased: {
    input: z.strictObject({ jobId: uuid }),
    result: z.void(),
    beats: 'while working',
  },
  /** Of every job that earlier runs of this image's operations have reserved for, in any pool. */
  ensureEarlierReleased: {
    input: z.strictObject({ image: imageRef, keep: z.nullable(uuid).default(null) }),
    result: z.void(),
    beats: 'while working',
  },
  /** Of a running VM: the empty file that its active layer is mirrored into. */
  ensureTopCreated: { input: job, result: z.void(), beats: 'while working' },
  /** `isNewTop`: no mirror of this job has begun with that file. */
  ensureMirrorStarted: {
    input: limitedJob.extend({ isNewTop: z.boolean() }),
    result: z.union([
      outcome('started'),
      outcome('finished'),
      kept,
      outcome('busy').extend({ reason }),
      lost,
      stopped,
    ]),
    beats: 'while working',
  },
  awaitMirrorReady: {
    input: job.extend({
      tellConvergence: z.boolean(),
      until: z.enum(['ready', 'end']).default('ready'),
      fitsMs: z.int().nonnegative().optional(),
      /** What was left at READY did not fit: awaited until it does, or nothing is left. */
      isBehind: z.literal(true).optional(),
    }),
    result: z.union([
      outcome('ready'),
      outcome('finished'),
      kept,
      outcome('not-converging').extend({
        note: z.string(),
        writtenBytesPerSecond: z.optional(sizeBytes),
      }),
      /** The guest outruns the mirror, but what is left is copied within `fitsMs`. */
      outcome('fits'),
      lost.extend({
        /** When the target cannot take the layer. */
        lack: z.strictObject({ neededBytes: sizeBytes, freeBytes: sizeBytes }).nullable(),
      }),
      stopped,
    ]),
    beats: 'by itself',
  },
  /** False when no mirror runs. */
  ensureMirrorBandwidth: {
    input: limitedJob,
    result: z.boolean(),
    beats: 'while working',
    files: 'only compared',
  },
  ensureMirrorPivoted: {
    input: settledJob,
    result: switchOutcome,
    beats: 'while working',
  },
  /**
   * Of several disks of one VM, within one suspension of its guest. `abort` keeps the copies: those
   * of all disks, or none.
   */
  ensureMirrorsSwitched: {
    input: z.strictObject({
      jobs: z.array(job).min(1),
      action: z.enum(['pivot', 'abort']),
      settleMs,
    }),
    result: z.strictObject({
      stallMs: z.number().nullable(),
      disks: z.array(z.strictObject({ disk: diskTarget, done: endOutcome })),
    }),
    beats: 'while working',
  },
  /** What the mirror was copied into stays as a copy of the moment of its end. */
  ensureMirrorKept: {
    input: settledJob,
    result: endOutcome,
    beats: 'while working',
  },
  /** `switched`: the VM is on the copies. */
  ensureMirrorEnded: {
    input: job,
    result: z.strictObject({ outcome: z.enum(['ended', 'switched']) }),
    beats: 'while working',
    files: 'only compared',
  },
  observeMoveProof: {
    input: job,
    result: z.strictObject({ guest: z.enum(['running', 'paused', 'off']) }),
    beats: 'while working',
  },
});

/** Of the SPM agent of the target pool. */
export const transferOnStorage = defineActivities({
  /** `gone`: the reservation that was to be adopted is being deleted. */
  ensureImageReserved: {
    input: reservation,
    result: z.strictObject({ outcome: z.enum(['reserved', 'gone']) }),
    beats: 'while working',
  },
  ensureImageNamed: {
    input: job,
    result: z.union([outcome('named'), outcome('taken').extend({ path: volumePath })]),
    beats: 'while working',
  },
  /** The copy of the active layer only, whose mirror has ended. */
  ensureTopAbsent: { input: job, result: z.void(), beats: 'while working' },
});
