/** Whether copies have space in their pool, one or all of a VM together. */
import { refused } from '../operation/failures.ts';
import { sizeWords } from '../operation/words.ts';
import type { ImagePlan, ImagePlanOutcome } from './plan.ts';

/**
 * Of plans with one pool; what has switched takes no more.
 * @returns null when there is enough
 * @throws Refused `not-enough-space` when it cannot be waited for
 */
export function lackOf(
  plans: readonly ImagePlan[],
  attempted: string,
): Extract<ImagePlanOutcome, { kind: 'no-space' }> | null {
  const copied = plans.filter(({ switched }) => !switched);
  const neededBytes = copied.reduce((sum, plan) => sum + plan.spaceNeededBytes, 0);
  const freeBytes = Math.min(...copied.map((plan) => plan.spaceFreeBytes));
  const [first] = copied;
  if (!first || neededBytes <= freeBytes) return null;
  const { to, spaceTotalBytes: total } = first;
  if (total === undefined || neededBytes <= total) {
    return { kind: 'no-space', path: to.folder, neededBytes, freeBytes };
  }
  const [needs, whole] = [neededBytes, total].map(sizeWords);
  const they = copied.length === 1 ? 'it needs' : `its ${copied.length} disks need`;
  throw refused('not-enough-space', {
    attempted,
    now: `${they} ${needs}, the pool's whole file system has ${whole}; nothing was done`,
    next: 'Enlarge that pool, or choose another one',
  });
}
