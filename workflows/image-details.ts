/** The page of an operation on an image in the Web UI. Pure. */
import { limitWords, mebibytes, operationPage } from './details.ts';
import type { ImageStatus } from './move-contract.ts';

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
