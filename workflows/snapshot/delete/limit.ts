/** The limit of all merges of a deletion, changed while they run. */
import { operationId } from '../../chain/references.ts';
import { acceptLimitOfParts } from '../../operation/parts.ts';
import type { Deletion } from './delete-snapshot.ts';

export function acceptLimit(op: Deletion): void {
  acceptLimitOfParts(op, {
    each: 'for each merge',
    running() {
      const { vm, disks } = op.status;
      const running = disks.filter(({ state }) => state === 'merging');
      return new Map(running.map(({ disk }) => [disk, operationId({ vm, disk })]));
    },
  });
}
