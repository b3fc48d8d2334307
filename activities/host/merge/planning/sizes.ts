/**
 * A layer hides what is below it beyond its own end: the disk has zeros there. A commit writes none
 * into base, so base's old data would appear (measured: QEMU 7.2, live and by `qemu-img`).
 */
import { refused } from '../../../../workflows/operation/failures.ts';
import { sizeWords } from '../../../../workflows/operation/words.ts';
import type { LiveMergeInput } from '../../../../workflows/merge/request.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import type { Chain } from '../../chain/observe-chain.ts';
import { attempt } from './guards.ts';
import type { Selection } from './selection.ts';

/**
 * From the active layer down a commit also writes the zeros that the guest reads.
 * @returns what users should know, in words
 * @throws Refused `unsupported-format`
 */
export function assertSizesFit(
  input: LiveMergeInput,
  { headers, disk }: Chain,
  { top, base, committed, overlay }: Selection,
): string[] {
  const sizeOf = ({ path }: Volume) => headers.get(path)?.virtualSizeBytes ?? 0;
  const words = (volume: Volume) => `${volume.path} (${sizeWords(sizeOf(volume))})`;
  if (!overlay) {
    if (sizeOf(top) >= sizeOf(base)) return [];
    const sizes = `from ${sizeWords(sizeOf(top))} to ${sizeWords(sizeOf(base))}`;
    return [`disk ${disk} grows ${sizes}, the size of ${base.path}, with what that holds there`];
  }
  const short = committed.find(
    (volume) => sizeOf(volume) < Math.min(sizeOf(base), sizeOf(overlay)),
  );
  if (!short) return [];
  throw refused('unsupported-format', {
    attempted: attempt(input),
    now:
      `${words(short)} is smaller than ${words(base)}: what base holds beyond that end would ` +
      'appear in the disk',
    next: 'Merge all layers above base at once, with the active one (without --top, --snapshot)',
  });
}
