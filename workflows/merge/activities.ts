/**
 * What the host agent does for a merge. `observe` reads, `ensure` makes a state true, `await`
 * waits.
 */
import { z } from 'zod';
import { diskRef } from '../chain/references.ts';
import { blockJob, guestState, snapshotChange } from '../chain/schemas.ts';
import { defineActivities, inTurn } from '../operation/activities.ts';
import { sizeBytes, uuid, volumePath } from '../operation/names.ts';
import { mergePlan, planOutcome } from './plan.ts';
import { liveMergeInput } from './request.ts';

const reason = z.string();
const milliseconds = z.number().nonnegative();

const job = z.strictObject({ plan: mergePlan, jobId: uuid });
export type JobInput = z.infer<typeof job>;
const limited = job.extend({ bandwidthBytesPerSecond: sizeBytes });
const keepRelative = z.boolean();

const startOutcome = z.discriminatedUnion('outcome', [
  /** With when it was READY, if that was before the start was reported. */
  z.strictObject({ outcome: z.literal('started'), reason, readyAtMs: milliseconds.nullable() }),
  z.strictObject({ outcome: z.enum(['finished', 'vm-stopped', 'busy', 'failed']), reason }),
]);

const readyOutcome = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('ready'), readyAtMs: milliseconds }),
  z.strictObject({ outcome: z.literal('finished') }),
  z.strictObject({ outcome: z.literal('gone'), reason }),
  z.strictObject({ outcome: z.literal('vm-stopped'), reason }),
  z.strictObject({
    outcome: z.literal('not-converging'),
    note: z.string(),
    writtenBytesPerSecond: z.optional(sizeBytes),
  }),
  /** The guest outruns the job, and what is left is copied within `fitsMs`. */
  z.strictObject({ outcome: z.literal('fits') }),
]);
export type ReadyOutcome = z.infer<typeof readyOutcome>;

/** Top's modification time when the commit ended: the proof that it was not written since. */
const topModifiedNs = z.string().regex(/^\d*$/);
const coldOutcome = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('committed'), topModifiedNs }),
  z.strictObject({ outcome: z.literal('vm-started'), reason }),
  z.strictObject({ outcome: z.literal('failed'), reason }),
]);
export type ColdOutcome = z.infer<typeof coldOutcome>;
/** For good, while the record names what it did. */
const refused = z.strictObject({ outcome: z.literal('refused'), reason });

const pivotOutcome = z.discriminatedUnion('outcome', [
  z.strictObject({
    outcome: z.literal('pivoted'),
    stallMs: milliseconds.nullable(),
    pivotIssuedAtMs: milliseconds.nullable(),
  }),
  /** `isBehind`: the job had more left to write than fits into the suspension. */
  z.strictObject({
    outcome: z.literal('not-pivoted'),
    reason,
    isBehind: z.literal(true).optional(),
  }),
  z.strictObject({ outcome: z.literal('vm-stopped'), reason }),
]);

/** What the four views say once no process has the volumes open. */
const mergeProof = z.strictObject({ chainAfter: z.array(volumePath), guest: guestState });
export type MergeProof = z.infer<typeof mergeProof>;

export const mergeOnHost = defineActivities({
  observeMergePlan: { input: liveMergeInput, result: planOutcome, beats: 'while working' },
  /** The job is recorded and runs, or why it does not. */
  ensureCommitStarted: {
    input: inTurn(limited.extend({ keepRelative })),
    result: startOutcome,
    beats: 'while working',
  },
  /** The running job has this limit; null when there is none. */
  ensureBandwidth: {
    input: z.strictObject({ ...diskRef.shape, bandwidthBytesPerSecond: sizeBytes }),
    result: blockJob.nullable(),
    beats: 'while working',
  },
  awaitCommitReady: {
    input: job.extend({
      until: z.enum(['ready', 'end']),
      tellConvergence: z.boolean(),
      fitsMs: z.int().nonnegative().optional(),
      isBehind: z.literal(true).optional(),
    }),
    result: readyOutcome,
    beats: 'by itself',
  },
  /** No job of ours runs, and the chain is what it was; or it has switched before. */
  ensureCommitAborted: {
    input: job,
    result: z.strictObject({ outcome: z.enum(['unchanged', 'merged']) }),
    beats: 'while working',
    files: 'only compared',
  },
  /** `settleMs`: longest suspension of the guest, in which the job writes what it has left. */
  ensurePivoted: {
    input: job.extend({ settleMs: z.int().positive().optional() }),
    result: pivotOutcome,
    beats: 'while working',
    files: 'only compared',
  },
  ensureColdCommitted: { input: inTurn(limited), result: coldOutcome, beats: 'by itself' },
  ensureColdSwitched: {
    input: job.extend({ keepRelative, topModifiedNs }),
    result: z.union([coldOutcome, refused]),
    beats: 'while working',
  },
  observeMergeProof: { input: job, result: mergeProof, beats: 'while working' },
  ensureSnapshotRecords: {
    input: job.extend({ changes: z.array(snapshotChange) }),
    result: z.void(),
    beats: 'while working',
  },
  ensureJobForgotten: {
    input: job,
    result: z.void(),
    beats: 'while working',
    files: 'only compared',
  },
});
