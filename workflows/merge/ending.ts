/** Steps 6 to 9 of a merge, and every other way one ends. */
import { CancellationScope, isCancellation } from '@temporalio/workflow';
import type { JobInput } from '../operation/contract.ts';
import { fileName, mebibytes, volumeCount } from '../operation/page.ts';
import { failureDetails, retry } from '../operation/failures.ts';
import type { MergeOperation } from './merge-operation.ts';
import { passPointOfNoReturn, refusedCancel, showInList } from '../operation/operation.ts';
import type { LiveMergeResult, MergePlan } from '../chain/schemas.ts';

interface Switched {
  stallMs: number | null;
  readyToPivotMs: number | null;
}

/** 6 to 9: proves the chain, lets libvirt's records follow, deletes, forgets, reports. */
export async function finishMerge(
  op: MergeOperation,
  plan: MergePlan,
  switched: Switched,
): Promise<LiveMergeResult> {
  const job: JobInput = { plan, jobId: op.jobId };
  passPointOfNoReturn(op);
  op.enter('proving');
  const proof = await op.host('observeMergeProof', job, 'prove the chain in all views, unused');
  if (plan.snapshots.length > 0) {
    const changes = plan.snapshots;
    const summary = 'let the snapshots of libvirt follow';
    await op.host('ensureSnapshotRecords', { ...job, changes }, summary); // 7
  }
  const { deleted, regainedBytes } = await deleteVolumes(op, plan); // 8
  await op.host('ensureJobForgotten', job, 'remove the record of the job'); // 9
  const base = fileName(plan.base.path);
  const committed = `${volumeCount(plan.committed.length)} committed into ${base}`;
  const result: LiveMergeResult = {
    ...reportOf(op, plan),
    outcome: 'merged',
    summary: `merged ${op.id} (${plan.mode}): ${committed}, ${mebibytes(regainedBytes)} regained`,
    chainAfter: proof.chainAfter,
    deleted,
    regainedBytes,
    stallMs: switched.stallMs,
    readyToPivotMs: switched.readyToPivotMs,
    warnings: [...kept(plan, deleted), ...(op.refusal ? [refusedCancel(op)] : [])],
  };
  await end(op, 'merged', result);
  return result;
}

async function deleteVolumes(op: MergeOperation, plan: MergePlan) {
  op.enter('deleting');
  const deleted: string[] = [];
  let regainedBytes = 0;
  for (const pool of new Set(plan.deletes.map((volume) => volume.pool))) {
    const volumes = plan.deletes.filter((volume) => volume.pool === pool);
    const input = { jobId: op.jobId, volumes };
    const summary = `delete ${volumeCount(volumes.length)} of pool ${pool}`;
    const done = await op.spm(pool)('ensureVolumesAbsent', input, summary);
    deleted.push(...done.deleted);
    regainedBytes += done.regainedBytes;
  }
  return { deleted, regainedBytes };
}

function kept(plan: MergePlan, deleted: string[]): string[] {
  return plan.deletes
    .filter((volume) => !deleted.includes(volume.path))
    .map((volume) => `${volume.path} was not deleted: another file has this name by now`);
}

/**
 * Two-phase commit without the second phase: the chain stays, base holds all that top held at this
 * moment.
 */
export async function finishKept(op: MergeOperation, plan: MergePlan): Promise<LiveMergeResult> {
  const job: JobInput = { plan, jobId: op.jobId };
  const base = fileName(plan.base.path);
  await op.host('ensureCommitAborted', job, 'end the READY job without a pivot');
  await op.host('ensureJobForgotten', job, 'remove the record of the job');
  const result: LiveMergeResult = {
    ...reportOf(op, plan),
    outcome: 'kept',
    summary: `kept the overlay of ${op.id}: ${base} is complete, the chain is unchanged`,
    chainAfter: plan.chainBefore.map((volume) => volume.path),
  };
  await end(op, 'kept', result);
  return result;
}

/** The state that was asked for is there already, by observation. */
export async function alreadyDone(
  op: MergeOperation,
  found: { chain: string[]; reason: string },
): Promise<LiveMergeResult> {
  const result: LiveMergeResult = {
    outcome: 'already-done',
    summary: `${op.id}: already done, ${found.reason}`,
    mode: null,
    jobId: null,
    chainBefore: found.chain,
    chainAfter: found.chain,
    ...NOTHING_MEASURED,
  };
  await end(op, 'already-done', result);
  return result;
}

const NOTHING_MEASURED = {
  deleted: [],
  regainedBytes: 0,
  committedBytes: 0,
  stallMs: null,
  readyToPivotMs: null,
  warnings: [],
};

function reportOf(op: MergeOperation, plan: MergePlan) {
  return {
    ...NOTHING_MEASURED,
    mode: plan.mode,
    jobId: op.jobId,
    chainBefore: op.status.chainBefore,
    committedBytes: op.status.committedBytes,
  };
}

async function end(
  op: MergeOperation,
  kind: 'merged' | 'kept' | 'already-done',
  result: LiveMergeResult,
): Promise<void> {
  await op.record(kind, result.summary, result.chainAfter);
  const cancel = { possible: false, meaning: 'it is over' };
  op.enter('finished', { note: [result.summary, ...result.warnings].join('; '), cancel });
  showInList(op, result.outcome);
}

/** The audit event and the last details of an operation that did not succeed. */
export async function recordFailure(op: MergeOperation, error: unknown): Promise<void> {
  const cancelled = isCancellation(error);
  const failure = failureDetails(error);
  const message = error instanceof Error ? error.message : String(error);
  const details = failure?.details;
  const reason = cancelled
    ? 'cancelled: the job is ended, the chain is unchanged'
    : details
      ? `${details.attempted}: ${details.now}. ${details.next}`
      : message;
  const kind = cancelled ? 'cancelled' : failure?.type === 'Refused' ? 'refused' : 'failed';
  await op.record(kind, reason, op.status.chainBefore);
  op.enter('finished', { note: reason, cancel: { possible: false, meaning: 'it is over' } });
  showInList(op, kind);
}

/**
 * The VM stopped before the pivot: the snapshot remains, and the same request finishes the work
 * later.
 */
export async function vmStopped(op: MergeOperation, plan: MergePlan, reason: string) {
  const job: JobInput = { plan, jobId: op.jobId };
  await op.host('ensureJobForgotten', job, 'remove the record of the job');
  return retry('vm-stopped', {
    attempted: `merging ${plan.top.path} into ${plan.base.path} of ${op.id}`,
    now:
      `the VM stopped (${reason}) and QEMU's job with it; ` +
      'the chain is unchanged, no flushed write is lost',
    next: 'Repeat the request: it works with the VM down or running; start the VM as usual',
  });
}

/** Fails between two attempts: the record of the one before, if there was one, does not stay. */
export async function giveUp(
  op: MergeOperation,
  plan: MergePlan | null,
  error: unknown,
): Promise<never> {
  if (plan) {
    const job: JobInput = { plan, jobId: op.jobId };
    const forget = () => op.host('ensureJobForgotten', job, 'remove the record of the job');
    await CancellationScope.nonCancellable(forget);
  }
  throw error;
}

/** QEMU's error itself never reaches libvirt's clients, except when it is the pivot that fails. */
export function jobLost(op: MergeOperation, plan: MergePlan, reasons: Iterable<string>) {
  return retry('job-lost', {
    attempted: `merging ${plan.top.path} into ${plan.base.path} of ${op.id}`,
    now:
      `the job ended several times without a result (${[...reasons].join('; ')}); ` +
      'the chain is unchanged, no write is lost',
    next:
      'Most often the storage answered with an error: see the log of the kernel of ' +
      `${op.input.host} and the file systems of both volumes, then repeat the request`,
  });
}

export function commitRefused(op: MergeOperation, plan: MergePlan, reason: string) {
  return retry('command-failed', {
    attempted: `starting the commit of ${plan.top.path} into ${plan.base.path} of ${op.id}`,
    now: `libvirt refuses it: ${reason}; the chain is unchanged`,
    next: 'Mend what libvirt names (often rights on the base), then repeat the request',
  });
}
