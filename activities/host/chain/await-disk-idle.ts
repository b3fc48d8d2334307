import type { DiskRef } from '../../../workflows/chain/references.ts';
import { sizeWords } from '../../../workflows/operation/words.ts';
import { waitUntil } from '../../door/polling.ts';
import { observeChain, toObservation } from './observe-chain.ts';
import type { HostDeps } from '../deps.ts';

/** Waits until no block job runs on the disk. A foreign job is never ended by us. */
export function awaitDiskIdle(deps: HostDeps, ref: DiskRef): Promise<void> {
  return waitUntil(async () => {
    const { job } = await toObservation(deps, await observeChain(deps, ref));
    return job && `${job.type}: ${sizeWords(job.copiedBytes)} of ${sizeWords(job.totalBytes)}`;
  });
}
