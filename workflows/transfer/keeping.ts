/** `--wait-for-decision` of a move: the wait at READY, and the mirror that is kept as a copy. */
import type { Operation } from '../operation/operation.ts';
import { acceptDecision, untilDecided } from '../operation/steering/decision.ts';
import { sizeWords } from '../operation/words.ts';
import type { ImageJob } from './activities.ts';
import { activeLayer, copyPaths, formatOf } from './copied.ts';
import type { moveKind, TransferResult } from './kind.ts';
import type { ImagePlan } from './plan.ts';
import { tellReady, type Ready } from './together.ts';
import type { Move } from './transfer.ts';
import { deleteElsewhere, removeReservation } from './unwanted-copies.ts';
import { shell } from '../operation/names.ts';

/** Registers the messages. The end of a disk that is copied with others is theirs, too. */
export const acceptChoice = (op: Operation<typeof moveKind>) =>
  acceptDecision(op, ANSWERS, () =>
    op.input.keepsSource
      ? `${op.id} is copied with other disks, whose mirrors end at one moment: wait, or cancel it`
      : null,
  );

const ANSWERS = {
  pivot: 'the VM will be switched to its copy',
  keep: 'the source will be kept, and the copy of this moment too',
};

/** What to do now, or what has become of the mirror meanwhile: null where it is awaited again. */
export async function decide(op: Move, ready: Ready, fits: boolean) {
  const { keepsSource, waitForDecision } = op.input;
  // Of a copy nothing but its end can be chosen.
  const chosen = waitForDecision ? op.decision.chosen : 'pivot';
  if (chosen !== null) return { chosen: keepsSource ? ('keep' as const) : chosen };
  const { job } = ready;
  const { by } = op.asked;
  op.enter('waiting for a decision', {
    note:
      (fits
        ? `what is left fits into a suspension of ${op.convergence.maxPauseMs} ms; `
        : 'READY: both hold the same; ') +
      (by === null
        ? `say ${shell`blockflow decide ${op.id} pivot|keep`}`
        : `\`${by}\` ${keepsSource ? 'ends' : 'switches'} it with the other disks`),
  });
  Object.assign(op.asked, { ready, missed: null });
  await tellReady(op, op.asked);
  const watch = () =>
    op.host.awaitMirrorReady(
      { ...job, until: 'end', tellConvergence: false },
      'watch the READY mirror while a person decides',
    );
  const decided = await untilDecided(op.decision, watch, () => op.asked.missed !== null);
  op.asked.ready = null;
  return decided;
}

/** Ends the mirror without a pivot, in a suspension in which it holds what the source holds. */
export function keepCopy(op: Move, job: ImageJob) {
  op.enter('mirroring', { note: 'the mirror ends, and its copy is kept' });
  const asked = { ...job, settleMs: op.convergence.maxPauseMs };
  return op.host.ensureMirrorKept(asked, 'end the mirror, keep its copy');
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
  const chainAfter = copyPaths(plan);
  const size = `${chainAfter.length} volume(s), ${sizeWords(plan.totalBytes)}`;
  const active = activeLayer(plan.volumes);
  const { name: top } = active;
  const removal = shell`blockflow rm ${plan.to.pool}/${top} --source-format ${formatOf(active)}`;
  return {
    outcome: 'kept',
    summary:
      `kept the source of ${op.id}; its copy of this moment is ${plan.to.folder}/${top}: ` +
      `${size}; ${removal} deletes it`,
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
