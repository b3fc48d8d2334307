/**
 * Inputs and results of every activity of a merge as schemas: agents parse with them, replay tests
 * too.
 */
import { z } from 'zod';
import type {
  HostActivities,
  OrchestratorActivities,
  StorageActivities,
} from '../../workflows/operation/contract.ts';
import { bug } from '../../workflows/operation/failures.ts';
import {
  auditEvent,
  blockJob,
  chainObservation,
  diskRef,
  guestState,
  liveMergeInput,
  mergePlan,
  namedVolume,
  planOutcome,
  sizeBytes,
  snapshotChange,
  uuid,
  vmName,
  volumePath,
} from '../../workflows/chain/schemas.ts';

/** For each activity of T. */
export type Schemas<T> = {
  [K in keyof T]: T[K] extends (...args: infer I) => Promise<infer O>
    ? { input: z.ZodType<I extends [] ? object : I[0]>; result: z.ZodType<O> }
    : never;
};

const nothing = z.void();
const reason = z.string();
const job = z.strictObject({ plan: mergePlan, jobId: uuid });
const limited = job.extend({ bandwidthBytesPerSecond: sizeBytes });
const keepRelative = z.boolean();
const stopped = z.strictObject({ outcome: z.enum(['vm-stopped', 'not-pivoted']), reason });
const milliseconds = z.number().nonnegative();

const startOutcome = z.discriminatedUnion('outcome', [
  z.strictObject({
    outcome: z.literal('started'),
    reason,
    readyAtMs: milliseconds.nullable(),
  }),
  z.strictObject({ outcome: z.enum(['finished', 'vm-stopped', 'busy', 'failed']), reason }),
]);

const readyOutcome = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('ready'), readyAtMs: milliseconds }),
  z.strictObject({ outcome: z.literal('finished') }),
  z.strictObject({ outcome: z.literal('gone'), reason }),
  z.strictObject({ outcome: z.literal('vm-stopped'), reason }),
  z.strictObject({ outcome: z.literal('not-converging'), note: z.string() }),
]);

const coldOutcome = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('committed'), topModifiedNs: z.string().regex(/^\d*$/) }),
  z.strictObject({ outcome: z.enum(['vm-started', 'failed']), reason }),
]);

export const hostSchemas = {
  observePresence: { input: z.strictObject({}), result: nothing },
  observeChain: { input: diskRef, result: chainObservation },
  observeMergePlan: { input: liveMergeInput, result: planOutcome },
  awaitDiskIdle: { input: diskRef, result: nothing },
  awaitSpace: {
    input: z.strictObject({ path: volumePath, neededBytes: sizeBytes }),
    result: nothing,
  },
  ensureCommitStarted: {
    input: limited.extend({ keepRelative }),
    result: startOutcome,
  },
  ensureBandwidth: {
    input: diskRef.extend({ bandwidthBytesPerSecond: sizeBytes }),
    result: blockJob.nullable(),
  },
  awaitCommitReady: {
    input: job.extend({ until: z.enum(['ready', 'end']), tellConvergence: z.boolean() }),
    result: readyOutcome,
  },
  ensureCommitAborted: {
    input: job,
    result: z.strictObject({ outcome: z.enum(['unchanged', 'merged']) }),
  },
  ensurePivoted: {
    input: job,
    result: z.union([
      z.strictObject({
        outcome: z.literal('pivoted'),
        stallMs: milliseconds.nullable(),
        pivotIssuedAtMs: milliseconds.nullable(),
      }),
      stopped,
    ]),
  },
  ensureColdCommitted: { input: limited, result: coldOutcome },
  ensureColdSwitched: {
    input: job.extend({ keepRelative, topModifiedNs: z.string().regex(/^\d*$/) }),
    result: coldOutcome,
  },
  observeMergeProof: {
    input: job,
    result: z.strictObject({ chainAfter: z.array(volumePath), guest: guestState }),
  },
  ensureSnapshotRecords: {
    input: job.extend({ changes: z.array(snapshotChange) }),
    result: nothing,
  },
  ensureJobForgotten: { input: job, result: nothing },
} satisfies Schemas<HostActivities>;

export const storageSchemas = {
  observePresence: hostSchemas.observePresence,
  ensureVolumesAbsent: {
    input: z.strictObject({ jobId: uuid, volumes: z.array(namedVolume) }),
    result: z.strictObject({ deleted: z.array(volumePath), regainedBytes: sizeBytes }),
  },
} satisfies Schemas<StorageActivities>;

export const orchestratorSchemas = {
  ensureEventRecorded: { input: auditEvent, result: nothing },
  observeEvents: {
    input: z.strictObject({
      vm: vmName.optional(),
      disk: auditEvent.shape.disk.optional(),
      limit: z.int().nonnegative(),
    }),
    result: z.array(auditEvent),
  },
} satisfies { [K in keyof OrchestratorActivities]: unknown };

/** Of a hostile input every key can be wrong. */
const shortly = (error: z.ZodError) => z.prettifyError(error).slice(0, 1000);

/**
 * The activities, each behind its input's schema. What does not fit is an error of ours, and
 * nothing is touched.
 */
export function parsing<T extends object>(
  schemas: Record<keyof T, { input: z.ZodType }>,
  activities: T,
): T {
  const guarded = Object.entries(activities).map(([name, run]) => {
    const { input: schema } = schemas[name as keyof T];
    const parsed = (raw: unknown) => {
      const { success, data, error } = schema.safeParse(raw ?? {});
      if (!success) throw bug(`the input of ${name} has another shape: ${shortly(error)}`);
      // What was parsed, with its defaults, and nothing else.
      return (run as (input: unknown) => unknown)(data);
    };
    return [name, parsed];
  });
  return Object.fromEntries(guarded) as T;
}
