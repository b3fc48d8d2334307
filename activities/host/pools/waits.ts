/**
 * Waits that add nothing to the history, however long they last: one activity that beats until its
 * condition holds.
 */
import { Context } from '@temporalio/activity';
import type { AwaitedPool } from '../../../workflows/transfer/activities.ts';
import type { DiskRef } from '../../../workflows/chain/schemas.ts';
import { observeSpace } from '../../adapters/files/files.ts';
import { isReserved, mountOf } from '../../pool-folder/presence.ts';
import type { HostDeps } from '../deps.ts';
import { observeChain, toObservation } from '../chain/observe-chain.ts';

const LOOK_EVERY_MS = 2000;

async function until(condition: () => Promise<string | null>): Promise<void> {
  const context = Context.current();
  for (;;) {
    const waitingFor = await condition();
    if (waitingFor === null) return;
    context.heartbeat({ phase: 'waiting', note: waitingFor });
    await context.sleep(LOOK_EVERY_MS);
  }
}

/** Waits until no block job runs on the disk. A foreign job is never ended by us. */
export function awaitDiskIdle(deps: HostDeps, ref: DiskRef): Promise<void> {
  return until(async () => {
    const { job } = await toObservation(deps, await observeChain(deps, ref));
    return job && `${job.type}: ${job.copiedBytes} of ${job.totalBytes} bytes`;
  });
}

/** Waits until the pool holds again what was reserved in it, or one sees that it does not. */
export function awaitPool({ to, jobId, until: wanted }: AwaitedPool): Promise<void> {
  return until(async () => {
    const isThere = wanted === 'reserved' ? isReserved(to, jobId) : mountOf(to, jobId);
    return (await isThere) ? null : `pool ${to.pool} is away: ${to.folder} is not mounted`;
  });
}

/** Waits until the file system of `path` has `neededBytes` free. */
export function awaitSpace(input: { path: string; neededBytes: number }): Promise<void> {
  return until(async () => {
    const { freeBytes } = await observeSpace(input.path);
    const missing = input.neededBytes - freeBytes;
    return missing > 0 ? `${missing} bytes are missing on the file system of ${input.path}` : null;
  });
}
