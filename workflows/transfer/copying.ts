/**
 * Steps 1 to 5 of a move and of a copy: plan, reserve, hold, copy, verify, name. All of it can be
 * undone.
 */
import { condition } from '@temporalio/workflow';
import { assertUnusedElsewhere } from '../chain/other-hosts.ts';
import { cureOf } from '../operation/cure.ts';
import { refused, retry } from '../operation/failures.ts';
import { nameTaken } from './name-taken.ts';
import { startedAt } from '../operation/operation.ts';
import { forwardOnly } from '../operation/point-of-no-return.ts';
import { fileName, sizeWords } from '../operation/words.ts';
import { untilBack, untilSpace, withPool } from '../pools/waiting.ts';
import type { CopyFailure, ImageJob, VolumeJob } from './activities.ts';
import { copiesOf, copyPaths, copiedByUs } from './copied.ts';
import type { ImagePlan, ImagePlanOutcome, ImageVolume } from './plan.ts';
import type { PlanRequest } from './request.ts';
import type { Transfer } from './transfer.ts';
import { discard, endMirror, release, undoOnFailure } from './unwanted-copies.ts';

export type Planned = Extract<ImagePlanOutcome, { kind: 'plan' | 'done' }>;

/**
 * 1: waits for space in the target pool; removes the unused leftovers of earlier runs. When nothing
 * follows, releases what those runs still hold.
 */
export async function planTransfer(op: Transfer, request: PlanRequest): Promise<Planned> {
  try {
    const planned = await untilPlanned(op, request);
    if (planned.kind === 'done') await releaseSource(op, request);
    return planned;
  } catch (error) {
    await forwardOnly(() => releaseSource(op, request));
    throw error;
  }
}

/**
 * An agent that is unavailable is not waited for: it may be what the operation was cancelled for.
 */
async function releaseSource(op: Transfer, { image }: PlanRequest): Promise<void> {
  const words = `release what earlier runs of ${op.id} hold`;
  const released = op.host
    .ensureEarlierReleased({ image, keep: null }, words)
    .catch(() => undefined);
  await Promise.race([released, condition(() => op.status.away !== null)]);
}

async function untilPlanned(op: Transfer, request: PlanRequest): Promise<Planned> {
  for (;;) {
    const summary = `plan ${op.words}`;
    const outcome = await op.host.observeImagePlan(request, summary);
    if (outcome.kind === 'done') return outcome;
    if (outcome.kind === 'plan') {
      await askOthers(op, outcome.plan);
      await adopt(op, outcome.plan);
      return outcome;
    }
    if (outcome.kind === 'no-space') await untilSpace(op, outcome, 'nothing was done');
    else {
      const { to, reason } = outcome;
      await untilBack(op, { to, jobId: op.jobId, until: 'mounted' }, reason);
    }
    op.enter('planning', { note: null });
  }
}

/** A moved volume is deleted. What a switched record left asks again before it deletes. */
function askOthers(op: Transfer, plan: ImagePlan): Promise<void> {
  const hosts = plan.switched ? [] : plan.sharedWith;
  const { volumes } = plan;
  return assertUnusedElsewhere(op, { attempted: `planning ${op.words}`, hosts, volumes });
}

async function adopt(op: Transfer, plan: ImagePlan): Promise<void> {
  if (plan.adopted) op.jobId = plan.adopted.jobId;
  op.mirroring = plan.live && !plan.switched ? { plan, jobId: op.jobId } : null;
  op.tell({
    jobId: op.jobId,
    chainBefore: plan.volumes.map((volume) => volume.path),
    chainTarget: copyPaths(plan),
    imageBytes: plan.totalBytes,
    ...(plan.adopted ? { note: 'adopted what an earlier run of blockflow left' } : {}),
  });
  if (op.mirroring) {
    // A disk has one job at most.
    const released = { image: op.input.image, keep: plan.adopted?.jobId ?? null };
    await op.host.ensureEarlierReleased(released, `release what earlier runs of ${op.id} hold`);
  }
  if (plan.adopted?.hasMirroredTop) {
    // Before the reservation says that the VM is down: its copy would count as complete then.
    const { jobId } = op;
    await op.host.ensureImageReleased({ jobId }, 'release the lower layers');
    await dropTop(op, { plan, jobId });
  }
  for (const jobId of plan.leftovers) await discard(op, plan, jobId);
  for (const jobId of plan.usedLeftovers) await discard(op, plan, jobId, 'keep');
  for (const run of plan.elsewhere) {
    // The copies of the others go once there are better ones: see `deleteElsewhere`.
    await (run.isUsed ? discard(op, run, run.jobId, 'keep') : release(op, run.jobId));
  }
}

/**
 * 2 to 5. Whatever ends it early, a cancel too, the source is as it was, and the copies go.
 * @returns why it must be planned again; null when the copies have their final names
 */
export async function untilNamed(op: Transfer, plan: ImagePlan): Promise<string | null> {
  const job: ImageJob = { plan, jobId: op.jobId };
  return undoOnFailure(op, plan, async () => {
    const again = await copyAll(op, job);
    if (again !== null) return again;
    const differs = plan.verify === 'none' ? null : await verifyAll(op, job);
    if (differs !== null) return differs;
    await nameCopies(op, job);
    return null;
  });
}

async function copyAll(op: Transfer, job: ImageJob): Promise<string | null> {
  const { plan, jobId } = job;
  op.enter('reserving');
  const reservation = { jobId, owner: op.owner, workflow: op.id, plan };
  const summary = `reserve ${copiesOf(plan).length} volume(s) in pool ${plan.to.pool}`;
  const reserved = await op.spm(plan.to).ensureImageReserved(reservation, summary); // 2
  if (reserved.outcome === 'gone') return 'what an earlier run left is being deleted';
  const held = await op.host.ensureImageHeld(
    { ...job, ...startedAt() },
    'hold the source against writes',
  );
  if (held.outcome === 'changed') return held.reason;
  if (held.outcome === 'in-use') throw inUse(op, held.reason);
  op.enter('copying');
  for (const volume of copiedByUs(plan)) {
    const at = plan.volumes.indexOf(volume);
    const again = await copyVolume(op, { ...job, at }, volume); // 3
    if (again !== null) return again;
  }
  if (!plan.live) return null;
  if (plan.adopted && !plan.live.isMirrored) await dropTop(op, job);
  await createTop(op, job);
  return null;
}

/** Of a running VM: the file that its active layer is mirrored into. */
export const createTop = (op: Transfer, job: ImageJob): Promise<void> =>
  inTarget(op, job, () =>
    op.host.ensureTopCreated(job, 'create an empty copy of the active layer'),
  );

/** The copy of the active layer, as far as it was made. */
export async function dropTop(op: Transfer, job: ImageJob): Promise<void> {
  await endMirror(op, job);
  await inTarget(op, job, () =>
    op.spm(job.plan.to).ensureTopAbsent(job, 'remove the unfinished copy of the active layer'),
  );
}

/** A step that writes to the target pool, which is waited for while it is unavailable. */
const inTarget = <T>(op: Transfer, { plan, jobId }: ImageJob, step: () => Promise<T>) =>
  withPool(op, { to: plan.to, jobId, until: 'reserved' }, step);

async function copyVolume(
  op: Transfer,
  job: VolumeJob,
  { path, sizeBytes, convert }: ImageVolume,
): Promise<string | null> {
  if (convert) {
    // A step of its own: a limit that is set while it takes its space is the copy's.
    const { format, preallocation } = convert;
    const words = `create an empty ${format} image for ${path}, preallocation ${preallocation}`;
    const created = await inTarget(op, job, () => op.host.ensureVolumeCreated(job, words));
    if (created.outcome !== 'created') return changedOrThrow(op, created);
  }
  const words = convert
    ? `convert ${path} to ${convert.format}, ${sizeWords(convert.virtualSizeBytes)}`
    : `copy ${path}, ${sizeWords(sizeBytes)}`;
  const copied = await inTarget(op, job, () => {
    const limit = { bandwidthBytesPerSecond: op.status.bandwidthBytesPerSecond };
    const copy = { ...job, ...limit, verify: job.plan.verify };
    return op.host.ensureVolumeCopied(copy, words);
  });
  return copied.outcome === 'copied' ? null : changedOrThrow(op, copied);
}

/** @returns what has changed, so that it is planned again */
function changedOrThrow(op: Transfer, { outcome, reason }: CopyFailure): string {
  if (outcome === 'changed') return reason;
  throw outcome === 'in-use' ? inUse(op, reason) : copyFailed(op, reason);
}

/** @returns why it must be planned again: an earlier run may have failed with just this copy */
async function verifyAll(op: Transfer, job: ImageJob): Promise<string | null> {
  op.enter('verifying');
  for (const volume of copiedByUs(job.plan)) {
    const at = job.plan.volumes.indexOf(volume);
    const summary = `compare ${volume.path} with its copy`;
    const { same, reason } = await inTarget(
      op,
      job,
      () => op.host.ensureVolumeVerified({ ...job, at }, summary), // 4
    );
    if (!same && job.plan.adopted) return reason;
    if (!same) throw copyFailed(op, reason);
  }
  return null;
}

export async function nameCopies(op: Transfer, job: ImageJob): Promise<void> {
  const { plan } = job;
  op.enter('naming');
  if (plan.volumes.some((volume) => volume.rebase)) {
    await inTarget(op, job, () =>
      op.host.ensureBackingNames(job, 'let the copies refer to the copies only'),
    );
  }
  const named = await inTarget(op, job, () =>
    op.spm(plan.to).ensureImageNamed(job, 'give the copies their names'),
  );
  if (named.outcome === 'named') return;
  const now = `${named.path} was made by another process meanwhile`;
  throw nameTaken(`naming the copies of ${op.id}`, plan.to, fileName(named.path), now);
}

function inUse(op: Transfer, reason: string) {
  return refused('volume-in-use', {
    attempted: `holding ${op.id} while it is copied`,
    now: `QEMU refuses: ${reason}`,
    next: 'A process has it open for writing, maybe a VM that just started. Stop it and try again',
  });
}

function copyFailed(op: Transfer, reason: string) {
  return retry('command-failed', {
    attempted: `copying ${op.id}`,
    now: reason,
    next: cureOf(reason, 'Look at the disks of both pools'),
  });
}
