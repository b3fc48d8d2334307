/** A layer that an overlay cannot stand on without what its XML says. */
import { refused } from '../../../../workflows/operation/failures.ts';

export const saysMore = (attempted: string, disk: string) =>
  refused('unsupported-format', {
    attempted,
    now: `a layer of ${disk} has more in its XML than a name and a format; nothing was done`,
    next: 'Go back by hand: a new overlay on the base of the snapshot, and its name in the record',
  });
