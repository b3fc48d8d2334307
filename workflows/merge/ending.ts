/** Steps 6 to 9 of a merge, and every other way one ends. */
import { cureOf, storageOf } from '../operation/cure.ts';
import { overlong } from '../operation/steering/convergence.ts';
import { retry } from '../operation/failures.ts';
import { forwardOnly } from '../operation/point-of-no-return.ts';
import { fileName, sizeWords, volumeCount } from '../operation/words.ts';
import { fromTheTop } from '../pools/from-the-top.ts';
import type { JobInput } from './activities.ts';
import type { LiveMergeResult } from './kind.ts';
import type { MergeOperation } from './live-merge.ts';
import type { MergePlan } from './plan.ts';

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
  op.enter('proving');
  const proof = await op.host.observeMergeProof(job, 'prove the chain in all views, unused');
  if (plan.snapshots.length > 0) {
    const changes = plan.snapshots;
    const summary = 'let the snapshots of libvirt follow';
    await op.host.ensureSnapshotRecords({ ...job, changes }, summary); // 7
  }
  const { deleted, regainedBytes } = await deleteVolumes(op, plan); // 8
  await op.host.ensureJobForgotten(job, 'remove the record of the job'); // 9
  const base = fileName(plan.base.path);
  const committed = `${volumeCount(plan.committed.length)} committed into ${base}`;
  return {
    ...reportOf(op, plan),
    outcome: 'merged',
    summary: `merged ${op.id} (${plan.mode}): ${committed}, ${sizeWords(regainedBytes)} regained`,
    chainAfter: proof.chainAfter,
    deleted,
    regainedBytes,
    stallMs: switched.stallMs,
    readyToPivotMs: switched.readyToPivotMs,
    warnings: [
      ...(plan.warnings ?? []),
      ...overlong(op.input, switched.stallMs),
      ...notDeleted(plan, deleted),
      ...op.point.warnings(),
    ],
  };
}

async function deleteVolumes(op: MergeOperation, plan: MergePlan) {
  op.enter('deleting');
  const deleted: string[] = [];
  let regainedBytes = 0;
  for (const { pool, identity, part: volumes } of fromTheTop(plan.deletes)) {
    const input = { jobId: op.jobId, volumes };
    const summary = `delete ${volumeCount(volumes.length)} of pool ${pool}`;
    const done = await op.spm({ pool, identity }).ensureVolumesAbsent(input, summary);
    deleted.unshift(...done.deleted);
    regainedBytes += done.regainedBytes;
  }
  return { deleted, regainedBytes };
}

function notDeleted(plan: MergePlan, deleted: string[]): string[] {
  return plan.deletes
    .filter((volume) => !deleted.includes(volume.path))
    .map((volume) => `${volume.path} was not deleted: another file now has this name`);
}

/**
 * Two-phase commit without the second phase: the chain stays, base holds all that top held at this
 * moment.
 */
export async function finishKept(op: MergeOperation, plan: MergePlan): Promise<LiveMergeResult> {
  const job: JobInput = { plan, jobId: op.jobId };
  const base = fileName(plan.base.path);
  await op.host.ensureCommitAborted(job, 'end the READY job without a pivot');
  await op.host.ensureJobForgotten(job, 'remove the record of the job');
  return {
    ...reportOf(op, plan),
    outcome: 'kept',
    summary: `kept the overlay of ${op.id}: ${base} is complete, the chain is unchanged`,
    chainAfter: plan.chainBefore.map((volume) => volume.path),
  };
}

/** The state that was asked for is there already, by observation. */
export function alreadyDone(
  op: MergeOperation,
  found: { chain: string[]; reason: string },
): LiveMergeResult {
  return {
    outcome: 'already-done',
    summary: `${op.id}: already done, ${found.reason}`,
    mode: null,
    jobId: null,
    chainBefore: found.chain,
    chainAfter: found.chain,
    ...NOTHING_MEASURED,
  };
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

/**
 * The VM stopped before the pivot: the snapshot remains, and the same request finishes the work
 * later.
 */
export async function vmStopped(op: MergeOperation, plan: MergePlan, reason: string) {
  const job: JobInput = { plan, jobId: op.jobId };
  await op.host.ensureJobForgotten(job, 'remove the record of the job');
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
    const forget = () => op.host.ensureJobForgotten(job, 'remove the record of the job');
    await forwardOnly(forget);
  }
  throw error;
}

/** QEMU's error itself never reaches libvirt's clients, except when it is the pivot that fails. */
export function jobLost(op: MergeOperation, plan: MergePlan, reasons: Iterable<string>) {
  const said = [...reasons].join('; ');
  return retry('job-lost', {
    attempted: `merging ${plan.top.path} into ${plan.base.path} of ${op.id}`,
    now:
      `the job ended several times without a result (${said}); ` +
      'the chain is unchanged, no write is lost',
    next: cureOf(said, storageOf(op.input.host)),
  });
}

export function commitRefused(op: MergeOperation, plan: MergePlan, reason: string) {
  return retry('command-failed', {
    attempted: `starting the commit of ${plan.top.path} into ${plan.base.path} of ${op.id}`,
    now: `libvirt refuses it: ${reason}; the chain is unchanged`,
    next: cureOf(reason, 'Fix the error that libvirt reports'),
  });
}

export function switchRefused(op: MergeOperation, plan: MergePlan, reason: string) {
  return retry('command-failed', {
    attempted: `switching the record of ${op.id} to ${plan.base.path}`,
    now: `it is refused: ${reason}; the chain is unchanged, and no write is lost`,
    next: cureOf(reason, 'Fix that'),
  });
}
