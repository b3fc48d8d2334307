/** The limit of all merges of a deletion, changed while they run. */
import { getExternalWorkflowHandle, setHandler } from '@temporalio/workflow';
import { operationId } from '../../chain/references.ts';
import { assertRate } from '../../operation/bandwidth.ts';
import { bandwidthSignal, bandwidthUpdate } from '../../operation/contract.ts';
import { limitWords } from '../../operation/words.ts';
import type { Deletion } from './delete-snapshot.ts';

/** Registers the update: the merges that run are told, those to come begin with it. */
export function acceptLimit(op: Deletion): void {
  const set = async (bandwidthBytesPerSecond: number): Promise<string> => {
    op.tell({ bandwidthBytesPerSecond });
    const running = op.status.disks.filter(({ state }) => state === 'merging');
    const told = running.map(async ({ disk }) => {
      const handle = getExternalWorkflowHandle(operationId({ vm: op.status.vm, disk }));
      // One that has just ended needs no limit.
      await handle.signal(bandwidthSignal, bandwidthBytesPerSecond).catch(() => undefined);
      return disk;
    });
    const disks = await Promise.all(told);
    const words = `${limitWords(bandwidthBytesPerSecond)} for each merge`;
    return disks.length === 0 ? `${words}, from the next one on` : `${words}: ${disks.join(', ')}`;
  };
  setHandler(bandwidthUpdate, set, {
    description: 'Limit of each merge in bytes per second, 0 for none',
    validator: assertRate,
  });
}
