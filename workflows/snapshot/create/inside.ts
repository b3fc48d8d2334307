/**
 * A snapshot inside of the images of a VM that is down: step 3 is not needed, and step 4 is one
 * transaction of a qemu-storage-daemon for all images, under QEMU's locks. Killed in it, QEMU may
 * leave some images with it: those are taken back, and the transaction is made again.
 *
 * Terminate: the same request goes on with what is there, as the audit log says that it has begun.
 */
import { workflowInfo } from '@temporalio/workflow';
import { auditLog } from '../../operation/agents.ts';
import type { AuditEvent } from '../../operation/audit/audit.ts';
import { WHOLE_VM } from '../../operation/contract.ts';
import { cureOf } from '../../operation/cure.ts';
import { failureDetails, retry } from '../../operation/failures.ts';
import { forwardOnly } from '../../operation/point-of-no-return.ts';
import { isRunning } from '../../operation/parts.ts';
import { holdDisks } from '../disk-locks.ts';
import type { InsidePlan } from '../inside/plan.ts';
import { INSIDE_BEGUN } from '../inside/words.ts';
import type { Creation } from './create-snapshot.ts';
import type { CreateSnapshotResult } from './kind.ts';
import { evidence } from './planning.ts';
import { shell } from '../../operation/names.ts';

export async function takeInside(op: Creation): Promise<CreateSnapshotResult> {
  const plan = await planInside(op); // 1
  if ('outcome' in plan) return plan;
  const locks = await holdDisks(op, op.status.disks); // 2
  try {
    await op.record(INSIDE_BEGUN, `snapshot ${plan.snapshot} inside of ${namesOf(plan)}`);
    op.point.pass();
    const ids = await forwardOnly(() => take(op, plan)); // 4
    return await forwardOnly(() => finish(op, plan, ids)); // 5
  } finally {
    await locks.release();
  }
}

const namesOf = ({ disks }: InsidePlan) => disks.map(({ disk }) => disk).join(', ');

/** A name that is taken is no mistake when this very request has made that snapshot. */
async function planInside(op: Creation): Promise<InsidePlan | CreateSnapshotResult> {
  const { input } = op;
  try {
    const question = { request: input, since: await unfinishedSince(op) };
    return adopt(op, await op.host.observeInsidePlan(question, `plan ${op.words}`));
  } catch (error) {
    const isThere = failureDetails(error)?.details.code === 'snapshot-exists';
    const result = isThere && input.name !== null ? await evidence(op, input.name) : null;
    if (result === null) throw error;
    return result;
  }
}

/** When the last run of this request began, if it was terminated after its plan; else null. */
async function unfinishedSince({ input, words }: Creation): Promise<string | null> {
  const events = await auditLog.observeEvents({ vm: input.vm, disk: WHOLE_VM, limit: 1000 });
  const own = workflowInfo().runId;
  const same = events.filter(({ id, request }) => request === words && !id.startsWith(own));
  const begun = same.findLast(({ kind }) => kind === INSIDE_BEGUN);
  if (!begun) return null;
  const run = begun.id.slice(0, -INSIDE_BEGUN.length);
  const isOpen = (event: AuditEvent) => isRunning(event) || event.kind === INSIDE_BEGUN;
  const isEnded = same.some((event) => event.id.startsWith(run) && !isOpen(event));
  return isEnded ? null : begun.time;
}

function adopt(op: Creation, plan: InsidePlan): InsidePlan {
  const images = plan.disks.map(({ image }) => image.path);
  op.tell({
    jobId: op.jobId,
    snapshot: plan.snapshot,
    disks: plan.disks.map(({ disk }) => disk),
    chainBefore: images,
    chainTarget: images,
  });
  return plan;
}

async function take(op: Creation, plan: InsidePlan): Promise<Record<string, string>> {
  op.enter('taking');
  const summary = `take it inside of ${plan.disks.length} image(s), all or none`;
  const taken = await op.host.ensureInsideTaken(plan, summary);
  if (taken.outcome === 'taken') {
    op.point.isBehind();
    return taken.ids;
  }
  op.point.takeBack(taken.reason);
  const attempted = op.words;
  if (taken.outcome === 'not-taken') {
    throw retry('command-failed', {
      attempted,
      now: `${taken.reason}; no image has it inside`,
      next: cureOf(taken.reason, 'Fix the reported error'),
    });
  }
  throw retry('vm-started', {
    attempted,
    now: taken.reason,
    next:
      'Shut the VM down and repeat the request; what an image has of it already goes with ' +
      shell`blockflow snapshot delete ${plan.vm} ${plan.snapshot}`,
  });
}

async function finish(
  op: Creation,
  plan: InsidePlan,
  ids: Record<string, string>,
): Promise<CreateSnapshotResult> {
  const { vm, vmUuid, snapshot } = plan;
  op.enter('listing');
  op.truth = `all images have snapshot ${snapshot} inside; libvirt may not list it yet`;
  await op.host.ensureInsideListed(plan, `let libvirt list snapshot ${snapshot}`);
  const images = plan.disks.map(({ image }) => image);
  const summary = `check ${images.length} image(s)`;
  const wrong = await op.host.ensureLeaksRepaired({ vm, vmUuid, images }, summary);
  return {
    outcome: 'created',
    summary: `snapshot ${snapshot} of ${vm} (${namesOf(plan)}) is taken inside of its images`,
    snapshot,
    jobId: op.jobId,
    disks: plan.disks.map(({ disk, image }) => ({
      ...{ disk, base: image.path, overlay: null },
      ...(ids[disk] === undefined ? {} : { id: ids[disk] }),
    })),
    chainAfter: images.map(({ path }) => path),
    stallMs: null,
    quiesced: false,
    warnings: [...wrong, ...op.point.warnings()],
  };
}
