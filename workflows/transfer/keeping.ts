/** `--wait-for-decision` of a move: the wait at READY, and the mirror that is kept as a copy. */
import { untilDecided } from '../operation/steering/decision.ts';
import { sizeWords } from '../operation/words.ts';
import type { ImageJob } from './activities.ts';
import type { TransferResult } from './kind.ts';
import type { ImagePlan } from './plan.ts';
import { tellReady } from './together.ts';
import type { Move } from './transfer.ts';
import { deleteElsewhere, removeReservation } from './unwanted-copies.ts';

/** At READY: what to do now, or what has become of the mirror meanwhile. */
export async function decide(op: Move, job: ImageJob) {
  if (!op.input.waitForDecision) return { chosen: 'pivot' as const };
  if (op.decision.chosen !== null) return { chosen: op.decision.chosen };
  const { by } = op.asked;
  op.enter('waiting for a decision', {
    note:
      'READY: both hold the same; ' +
      (by === null
        ? `say \`blockflow decide ${op.id} pivot|keep\``
        : `\`${by}\` switches it with the other disks`),
  });
  op.asked.ready = job;
  await tellReady(op, op.asked);
  const decided = await untilDecided(op.decision, () =>
    op.host.awaitMirrorReady(
      { ...job, until: 'end', tellConvergence: false },
      'watch the READY mirror while a person decides',
    ),
  );
  op.asked.ready = null;
  return decided;
}

/** Ends the mirror without a pivot, once it holds what the source holds. */
export function keepCopy(op: Move, job: ImageJob) {
  op.enter('mirroring', { note: 'the mirror ends, and its copy is kept' });
  return op.host.ensureMirrorKept(job, 'end the READY mirror, keep its copy');
}

/** The source stays, and the copies too. */
export async function finishKept(op: Move, plan: ImagePlan): Promise<TransferResult> {
  const { jobId } = op;
  const job: ImageJob = { plan, jobId };
  op.enter('naming', { note: null });
  await op.host.ensureImageReleased({ jobId }, 'release the source and the copies');
  await op.host.ensureMirrorEnded(job, 'prove that the VM runs on with its source');
  const warnings = await deleteElsewhere(op, plan);
  await removeReservation(op, job, 'keep', 'the reservation');
  const chainAfter = plan.volumes.map((volume) => `${plan.to.folder}/${volume.name}`);
  const size = `${plan.volumes.length} volume(s), ${sizeWords(plan.totalBytes)}`;
  const top = plan.volumes.at(-1)?.name ?? '';
  return {
    outcome: 'kept',
    summary:
      `kept the source of ${op.id}; its copy of this moment is ${plan.to.folder}/${top}: ` +
      `${size}; \`blockflow rm ${plan.to.pool}/${top}\` deletes it`,
    jobId,
    chainBefore: plan.volumes.map((volume) => volume.path),
    chainAfter,
    copiedBytes: plan.totalBytes,
    // No process compares what QEMU has mirrored.
    verified: false,
    removal: null,
    warnings: [...(plan.warnings ?? []), ...warnings, ...op.point.warnings()],
  };
}
