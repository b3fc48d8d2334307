/**
 * RemoveImage: deletes an image with all its volumes from storage; no record is touched. Refused
 * while anything refers to it. A move starts it for the source that it leaves behind, and does not
 * wait for it.
 *
 *   planning ─ [wiping] ─ deleting ─ finished
 *      └─ waiting for the disk: only what a move left, while somebody still uses it
 *
 * Steps, and what is durable when each is done:
 *  1. plan    nothing; proven that no domain, snapshot or other chain names a volume, on no host
 *             that shares a pool of them, and nobody has one open (I3).
 *  2. wipe    POINT OF NO RETURN with `--wipe`: the volumes are out of sight, and overwritten.
 *  3. delete  POINT OF NO RETURN: the volumes are gone, by the SPM agents of their pools.
 *
 * Cancel: before the point of no return the image is untouched; after it, it is refused and the
 * removal completed. Invariants: I3 (1 and, by identity and lock, each deletion), I6, I8, I9, I16,
 * I17.
 */
import { CancellationScope, isCancellation, sleep, uuid4 } from '@temporalio/workflow';
import { mebibytes } from './details.ts';
import { failureDetails } from './failures.ts';
import { openImageOperation, passPointOfNoReturn, runImageOperation } from './image-operation.ts';
import type { ImageOperation } from './image-operation.ts';
import type { RemovalPlan, RemoveImageInput, RemoveImageResult } from './image-schemas.ts';
import { removeWords } from './image-words.ts';
import { assertUnusedElsewhere } from './other-hosts.ts';
import { removeRequest } from './request-check.ts';

const BEFORE = 'the image stays as it is';
const AFTER = 'refused: the deletion has begun, so it is completed';

export async function RemoveImage(request: RemoveImageInput): Promise<RemoveImageResult> {
  const input = removeRequest(request);
  const { pool, volume, format, host, requestedBy, left } = input;
  const image = { kind: 'volume', pool, volume, format } as const;
  const op = openImageOperation({
    ...{ operation: 'RemoveImage', image, host, jobId: left?.jobId ?? uuid4(), requestedBy },
    bandwidthBytesPerSecond: 0,
    words: removeWords(input),
    cancel: { before: BEFORE, after: AFTER },
  });
  const body = () => remove(op, input);
  return runImageOperation(op, { kind: 'removed', after: () => [], body });
}

const AGAIN_AFTER = '1 minute';

/** What a move left is waited for: nobody would repeat a request that he did not make. */
async function remove(op: ImageOperation, input: RemoveImageInput): Promise<RemoveImageResult> {
  for (;;) {
    try {
      return await removeOnce(op, input);
    } catch (error) {
      const failure = failureDetails(error);
      const waits = failure?.type === 'Refused' || failure?.type === 'Hold';
      if (!input.left || !waits || isCancellation(error)) throw error;
      const { now } = failure.details;
      await op.record('failed', `delete source: ${now}; tried again every minute`);
      op.enter('waiting for the disk', {
        note: now,
        cancel: { possible: true, meaning: 'the volumes that are there stay' },
      });
      await sleep(AGAIN_AFTER);
      op.enter('planning', { note: null });
    }
  }
}

async function removeOnce(op: ImageOperation, input: RemoveImageInput): Promise<RemoveImageResult> {
  const summary = `prove that nothing refers to ${op.id}`;
  const plan = await op.host('observeRemovalPlan', input, summary); // 1
  op.enter('planning', {
    jobId: op.jobId,
    chainBefore: plan.volumes.map((volume) => volume.path),
    committedBytes: plan.totalBytes,
  });
  const { sharedWith: hosts, volumes } = plan;
  await assertUnusedElsewhere(op.hostAt, { attempted: `removing image ${op.id}`, hosts, volumes });
  passPointOfNoReturn(op, AFTER);
  return CancellationScope.nonCancellable(() => removeVolumes(op, plan, input.wipe));
}

async function removeVolumes(
  op: ImageOperation,
  { volumes }: RemovalPlan,
  wipe: boolean,
): Promise<RemoveImageResult> {
  op.part = 'delete source';
  op.truth = 'some of its volumes may be gone already';
  const deleted: string[] = [];
  let regainedBytes = 0;
  for (const pool of new Set(volumes.map((volume) => volume.pool))) {
    const input = { jobId: op.jobId, volumes: volumes.filter((volume) => volume.pool === pool) };
    if (wipe) {
      op.enter('wiping');
      const words = `overwrite ${input.volumes.length} volume(s) of pool ${pool}`;
      await op.spm(pool)('ensureVolumesWiped', input, words); // 2
    }
    op.enter('deleting');
    const words = `delete ${input.volumes.length} volume(s) of pool ${pool}`;
    const done = await op.spm(pool)('ensureVolumesAbsent', input, words); // 3
    deleted.push(...done.deleted);
    regainedBytes += done.regainedBytes;
  }
  const count = `${deleted.length} volume(s), ${mebibytes(regainedBytes)} regained`;
  const summary = `removed ${op.id}: ${count}`;
  return { outcome: 'removed', summary, deleted, regainedBytes, wiped: wipe };
}
