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
import { CancellationScope, uuid4 } from '@temporalio/workflow';
import { deleteElsewhere } from '../removal/detached.ts';
import { mebibytes } from '../operation/page.ts';
import { planTransfer, untilNamed } from './copying.ts';
import { openImageOperation, runImageOperation, type ImageOperation } from './image-operation.ts';
import type { CopyImageInput, ImagePlan, TransferResult } from './schemas.ts';
import { copyWords } from './words.ts';
import { passPointOfNoReturn } from '../operation/operation.ts';
import { copyRequest } from '../operation/request-check.ts';
import { beginAgain, removeReservation, undoOnFailure } from './unwanted-copies.ts';

const cancel = {
  before: 'the source stays as it is, a workflow of its own deletes the copies',
  after: 'refused: the copy is there',
};

export async function CopyImage(request: CopyImageInput): Promise<TransferResult> {
  const input = copyRequest(request);
  const op = openImageOperation({
    operation: 'CopyImage',
    image: input.image,
    host: input.host,
    jobId: uuid4(),
    bandwidthBytesPerSecond: input.bandwidthBytesPerSecond,
    requestedBy: input.requestedBy,
    words: copyWords(input),
    cancel,
  });
  const after = (result: TransferResult) => result.chainAfter;
  return runImageOperation(op, { after, body: () => copy(op, input) });
}

async function copy(op: ImageOperation, input: CopyImageInput): Promise<TransferResult> {
  for (let attempt = 1; ; attempt++) {
    const planned = await planTransfer(op, { operation: 'CopyImage', ...input });
    if (planned.kind === 'done') throw new Error('a copy is never done before it was made');
    const { plan } = planned;
    const again = await untilNamed(op, plan);
    if (again === null) {
      await undoOnFailure(op, plan, () => Promise.resolve(passPointOfNoReturn(op)));
      return CancellationScope.nonCancellable(() => finishCopy(op, plan));
    }
    await beginAgain(op, plan, { attempted: `copying ${op.id}`, attempt, reason: again });
  }
}

async function finishCopy(op: ImageOperation, plan: ImagePlan): Promise<TransferResult> {
  const { jobId } = op;
  await op.host('ensureImageReleased', { jobId }, 'let go of the source and the copies');
  const warnings = await deleteElsewhere(op, plan);
  await removeReservation(op, { plan, jobId }, 'keep', 'the reservation');
  const chainAfter = plan.volumes.map((volume) => `${plan.to.folder}/${volume.name}`);
  const size = `${plan.volumes.length} volume(s), ${mebibytes(plan.totalBytes)}`;
  return {
    outcome: 'copied',
    summary: `copied ${op.id} to ${chainAfter.at(-1)}: ${size}`,
    jobId,
    chainBefore: plan.volumes.map((volume) => volume.path),
    chainAfter,
    copiedBytes: plan.totalBytes,
    verified: plan.verify === 'full',
    removal: null,
    warnings,
  };
}
