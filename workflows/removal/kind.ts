/** RemoveImage as a kind of operation, and what its status and result say. */
import * as z from 'zod/mini';
import { sourceFormat } from '../chain/words.ts';
import type { StatusOf } from '../operation/contract.ts';
import type { Kind } from '../operation/kind.ts';
import { sizeBytes, volumePath, shell } from '../operation/names.ts';
import { sizeWords } from '../operation/words.ts';
import { removalId, removeImageInput, type RemoveImageInput } from './request.ts';

export type RemovalPhase = 'waiting for the disk' | 'waiting for the pool' | 'wiping' | 'deleting';

export interface RemovalStatus extends StatusOf<'RemoveImage', RemovalPhase> {
  /** Size of the image's volumes; 0 before the plan. */
  imageBytes: number;
}

const removalResult = () =>
  z.strictObject({
    /** `kept`: copies made in vain, with which a repeated request goes on. */
    outcome: z.enum(['removed', 'kept']),
    summary: z.string(),
    deleted: z.array(volumePath),
    regainedBytes: sizeBytes,
    /** Every block that it had is overwritten. */
    wiped: z.boolean(),
    warnings: z.array(z.string()),
  });
export type RemoveImageResult = z.infer<ReturnType<typeof removalResult>>;

function words(input: RemoveImageInput): string {
  const { pool, volume, copies, wipe } = input;
  if (copies) return `delete what job ${copies.jobId} has copied to ${pool}/${volume}`;
  const wiping = wipe ? ['--wipe'] : [];
  return [`rm ${pool}/${volume}`, ...sourceFormat(input), ...wiping].join(' ');
}

export const COPIES_STAY = 'the copies stay until the move or copy is requested again';

/** A source whose deletion has ended takes its space until a user requests it again. */
function untouched({ pool, volume, format, left, copies }: RemoveImageInput): string {
  if (copies) return COPIES_STAY;
  if (!left) return 'nothing was deleted';
  const command = shell`blockflow rm ${pool}/${volume} --source-format ${format}`;
  return `what the move has left stays; ${command} deletes it`;
}

export const removalKind: Kind<'RemoveImage', RemoveImageInput, RemoveImageResult, RemovalStatus> =
  {
    type: 'RemoveImage',
    command: 'rm',
    of: 'an image',
    request: removeImageInput,
    result: removalResult,
    id: removalId,
    words,
    distinction: () => ({}),
    subject: ({ pool, volume }) => ({ vm: pool, disk: volume }),
    requestRows: () => [],
    jobId: ({ left, copies }) => (left ?? copies)?.jobId ?? null,
    cancel: ({ copies }) => ({
      before: copies ? COPIES_STAY : 'the image stays as it is',
      after: 'refused: the deletion has begun, so it is completed',
    }),
    untouched,
    facts: { imageBytes: 0 },
    statusRows: ({ chainBefore, imageBytes, jobId }) => [
      ['Volumes', chainBefore.map((path) => `\`${path}\``).join(' ← ')],
      ['Size', imageBytes > 0 ? sizeWords(imageBytes) : null],
      ['Job', jobId && `\`${jobId}\``],
    ],
    listed: ['waiting for the disk', 'waiting for the pool', 'wiping', 'deleting'],
    measured: ['wiping'],
    pastCopy: [],
    parts: { planning: 'plan' },
  };
