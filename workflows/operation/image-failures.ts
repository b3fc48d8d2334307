/** Failures of the operations on images, which name the part that failed. */
import { ApplicationFailure } from '@temporalio/common';
import { failureDetails, refused, type FailureDetails, type RefusalCode } from './failures.ts';
import type { ImagePart, VolumeUse } from '../transfer/activities.ts';

/** Why an operation on an image is refused, beside the codes of a merge. */
export type ImageRefusalCode =
  | RefusalCode
  | 'vm-running'
  | 'not-persistent'
  | 'unknown-pool'
  | 'unknown-volume'
  | 'broken-chain'
  | 'same-pool'
  | 'several-volumes'
  | 'dirty-bitmaps'
  | 'name-taken';

type Words = Omit<FailureDetails, 'code'>;

export const refusedImage = (code: ImageRefusalCode, words: Words) =>
  refused(code as RefusalCode, words);

/** A file of which nobody here knows who needs it. */
export const nameTaken = (
  attempted: string,
  { pool }: { pool: string },
  name: string,
  now: string,
) =>
  refusedImage('name-taken', {
    attempted,
    now,
    next:
      'Choose another pool, or make sure that nothing needs that file and remove it: ' +
      `\`blockflow rm ${pool}/${name}\` looks who uses it`,
  });

/** What a use of a volume refuses. */
export const codeOf = ({ kind }: VolumeUse) =>
  kind === 'child' ? ('shared-base' as const) : ('volume-in-use' as const);

/**
 * The failure of one part: which, and what is true now that everything before it was undone or is
 * kept.
 */
export function partFailure(part: ImagePart, cause: unknown, now: string): ApplicationFailure {
  const found = failureDetails(cause);
  const said = cause instanceof Error ? rootMessage(cause) : String(cause);
  const details = {
    code: found?.details.code ?? 'command-failed',
    attempted: `${part}: ${found?.details.attempted ?? 'a step failed'}`,
    now: `${found?.details.now ?? said}; ${now}`,
    next: found?.details.next ?? 'Repeat the request once the cause is mended',
    part,
  };
  return ApplicationFailure.create({
    message: `${details.attempted}: ${details.now}. ${details.next}`,
    type: found?.type ?? 'Retry',
    nonRetryable: true,
    details: [details],
    ...(cause instanceof Error ? { cause } : {}),
  });
}

function rootMessage(error: Error): string {
  return error.cause instanceof Error ? rootMessage(error.cause) : error.message;
}
