/** The page of an operation on an image in the Web UI. Pure. */
import { limitWords, mebibytes, oneLine, operationPage, table } from '../operation/page.ts';
import type { RemoveImageInput } from './schemas.ts';
import { removeWords } from './words.ts';
import { removalId, type ImageOperationName, type ImageStatus } from './activities.ts';

export function imageDetails(status: ImageStatus): string {
  const chain = (paths: string[]) => paths.map((path) => `\`${path}\``).join(' ← ');
  const { bandwidthBytesPerSecond: limit, committedBytes: size } = status;
  const copies = chain(status.chainTarget);
  return operationPage(status, [
    ['Volumes', chain(status.chainBefore)],
    ['Copies', copies],
    ['Size', size > 0 ? mebibytes(size) : null],
    ['Limit', copies && (limit === 0 ? 'none' : limitWords(limit))],
    ['Job', status.jobId && `\`${status.jobId}\``],
  ]);
}

interface Asking {
  /** Its workflow's id. */
  id: string;
  operation: ImageOperationName;
  /** The request, as one would type it. */
  words: string;
  host: string;
  requestedBy: string;
}

/** What was asked for: the part of the page that never changes. */
export const requestPage = ({ id, operation, words, host, requestedBy }: Asking, of = 'an image') =>
  table(
    [operation, `of ${of}`],
    [
      ['Request', `\`${words}\``],
      ['Host', host],
      ['Asked by', requestedBy],
      ['To cancel', `\`blockflow cancel ${id}\`, or Request Cancellation here`],
    ],
  );

/** Summary and page of a removal that nobody typed: of what `by` has left, or copied in vain. */
export function removalPages(input: RemoveImageInput, by: string) {
  const { pool, volume, copies, wipe } = input;
  const image = `${pool}/${volume}${wipe ? ', overwritten first' : ''}`;
  const what = copies ? `copies that ${by} made in vain` : `the source that ${by} has left`;
  const asking = { ...input, id: removalId(input), words: removeWords(input) };
  return {
    staticSummary: oneLine(`delete ${what}: ${image}`),
    staticDetails: requestPage({ ...asking, operation: 'RemoveImage' }, what),
  };
}
