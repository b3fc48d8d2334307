/** A guest that outruns its job, in words: by how much, and what would help. Pure. */
import { limitWords, sizeWords } from '../../../workflows/operation/words.ts';
import type { Divergence, Pace } from '../../door/progress.ts';

/** Milliseconds that the rest takes at the measured rate; null when nothing is copied. */
export const restMs = ({ remainingBytes, copiedBytesPerSecond: rate }: Pace) =>
  rate > 0 ? Math.ceil((remainingBytes / rate) * 1000) : null;

/** @param limit of the job, 0 for none */
export function divergenceWords(divergence: Divergence, limit: number): string {
  const { writtenBytesPerSecond: written, copiedBytesPerSecond: copied } = divergence;
  const faster = written - copied;
  // What the guest writes twice before it is copied counts once.
  const isEven = faster < written / 20;
  const more = isEven
    ? 'as much as the job copies'
    : `${sizeWords(faster)}/s more than the job copies`;
  const rates = `the guest makes ${sizeWords(written)}/s dirty, ${more}`;
  const most = limit > 0 ? ` (its limit is ${limitWords(limit)})` : '';
  const rest = `${sizeWords(divergence.remainingBytes)} stay to be copied`;
  const pause = restMs(divergence);
  const converge = pause === null ? '--converge' : `--converge with a pause of about ${pause} ms`;
  const help =
    limit > 0
      ? `a higher limit would help (\`blockflow bandwidth\`), or ${converge}`
      : `${converge} would help, or an hour in which the guest writes less`;
  return `not converging: ${rates}${most}, and ${rest}; ${help}`;
}
