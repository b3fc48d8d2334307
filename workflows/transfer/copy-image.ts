/**
 * CopyImage: copies an image with all its volumes to a pool; no record is touched, and the copy's
 * chain refers only to the copy. Also of a shared image (a template).
 *
 *   planning ─ reserving ─ copying ─ verifying ─ naming ─ finished
 *      └─ waiting for space  └─ waiting for the pool
 *
 * Steps 1 to 5 are those of MoveImage (see there for what is durable). Then the hold and the
 * reservation are gone.
 *
 * Cancel or failure: until the copies have their names they go, as those of a move; then a cancel
 * is refused. Invariants: I6, I9, I10, I14, I15, I17.
 */
import type { Operation } from '../operation/operation.ts';
import { forwardOnly } from '../operation/point-of-no-return.ts';
import { run } from '../operation/run.ts';
import { sizeWords } from '../operation/words.ts';
import { copyPaths } from './copied.ts';
import { planTransfer, untilNamed } from './copying.ts';
import { copyKind, type TransferResult } from './kind.ts';
import { assertMoment } from './moment.ts';
import type { ImagePlan } from './plan.ts';
import type { CopyImageInput } from './request.ts';
import { openTransfer, type Transfer } from './transfer.ts';
import {
  beginAgain,
  deleteElsewhere,
  removeReservation,
  undoOnFailure,
} from './unwanted-copies.ts';

type Copy = Transfer & Operation<typeof copyKind>;

export function CopyImage(request: CopyImageInput): Promise<TransferResult> {
  return run(copyKind, request, (opened) => {
    const op = openTransfer(opened);
    return () => copy(op);
  });
}

async function copy(op: Copy): Promise<TransferResult> {
  for (let attempt = 1; ; attempt++) {
    const planned = await planTransfer(op, { operation: 'CopyImage', ...op.input });
    if (planned.kind === 'done') throw new Error('a copy is never done before it was made');
    const { plan } = planned;
    await undoOnFailure(op, plan, () => assertMoment(op.id, op.input.asOf, plan));
    const again = await untilNamed(op, plan);
    if (again === null) {
      await undoOnFailure(op, plan, () => op.point.pass());
      return forwardOnly(() => finishCopy(op, plan));
    }
    await beginAgain(op, plan, { attempted: `copying ${op.id}`, attempt, reason: again });
  }
}

async function finishCopy(op: Copy, plan: ImagePlan): Promise<TransferResult> {
  const { jobId } = op;
  await op.host.ensureImageReleased({ jobId }, 'release the source and the copies');
  const warnings = await deleteElsewhere(op, plan);
  await removeReservation(op, { plan, jobId }, 'keep', 'the reservation');
  const chainAfter = copyPaths(plan);
  const size = `${chainAfter.length} volume(s), ${sizeWords(plan.totalBytes)}`;
  return {
    outcome: 'copied',
    summary: `copied ${op.id} to ${chainAfter.at(-1)}: ${size}`,
    jobId,
    chainBefore: plan.volumes.map((volume) => volume.path),
    chainAfter,
    copiedBytes: plan.totalBytes,
    verified: plan.verify === 'full',
    removal: null,
    warnings: [...(plan.warnings ?? []), ...warnings],
  };
}
