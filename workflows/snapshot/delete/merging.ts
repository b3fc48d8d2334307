/** Step 2: the merges of the disks of one snapshot, several at once, each with its own life. */
import { CancellationScope, isCancellation, sleep } from '@temporalio/workflow';
import { mergeKind } from '../../merge/kind.ts';
import { failureDetails, ownFailure } from '../../operation/failures.ts';
import {
  assertSame,
  endedFromOutside,
  endOther,
  FIRST_PAUSE_MS,
  LONGEST_PAUSE_MS,
  startPart,
} from '../../operation/parts.ts';
import { forwardOnly } from '../../operation/point-of-no-return.ts';
import type { Deletion } from './delete-snapshot.ts';
import type { DiskState } from './kind.ts';
import { mergeInput } from './planning.ts';
import { tell, type Freed, type Tally } from './tally.ts';
import type { WaitingDisks } from './waiting-disks.ts';

/** What the merges have done so far, and the disks whose turn has not come. */
export interface Merges extends Tally {
  waiting: WaitingDisks;
}

/**
 * Merges every disk of the snapshot that waits, so many at once. A disk that fails stops no other
 * one; but while none is merged, a refusal ends those that have begun.
 */
export async function mergeDisks(op: Deletion, tally: Merges, snapshot: string): Promise<void> {
  const waiting = op.status.disks.filter(
    (disk) => disk.snapshot === snapshot && disk.state === 'waiting',
  );
  const isBegun = () => op.status.disks.some(({ state }) => state === 'merged');
  const others = await tally.waiting.hold(snapshot);
  if (!isBegun()) for (const disk of others) await assertSame(op, mergeOf(op, { snapshot, disk }));
  const merges = new CancellationScope();
  const worker = async () => {
    for (let disk = waiting.shift(); disk; disk = waiting.shift()) {
      if (merges.consideredCancelled) tell(op, disk, 'left');
      else await mergeDisk(op, tally, disk);
      if (disk.state === 'refused' && !isBegun()) merges.cancel();
    }
  };
  await merges.run(() =>
    Promise.all(Array.from({ length: Math.min(op.input.atOnce, waiting.length) }, worker)),
  );
}

async function mergeDisk(op: Deletion, tally: Merges, part: DiskState): Promise<void> {
  tell(op, part, 'merging');
  try {
    await tally.waiting.take(part.disk);
    tally.results.push(await resultOf(op, part));
    tell(op, part, 'merged');
  } catch (error) {
    if (isCancellation(error)) return tell(op, part, 'left');
    const failure = ownFailure(error) ?? terminated(op, part);
    tally.failures.push(failure);
    const state = failure.type === 'Refused' ? 'refused' : 'failed';
    tell(op, part, state, failureDetails(failure)?.details.now);
  } finally {
    await tally.waiting.giveBack(part.disk);
  }
}

const terminated = ({ status: { vm } }: Deletion, { snapshot, disk }: DiskState) =>
  endedFromOutside(
    `merging the layer of snapshot ${snapshot} on ${vm}/${disk}`,
    'its merge was terminated',
    'its block job may still run',
  );

/** The merge of an earlier run of this request may still have the disk: it is waited for. */
async function resultOf(op: Deletion, part: DiskState): Promise<Freed> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const merge = mergeOf(op, part);
    const started = await startPart(op, merge);
    if (started) return started.result();
    try {
      await sleep(pauseMs);
      await assertSame(op, merge);
    } catch (error) {
      if (!isCancellation(error)) throw error;
      if ((await forwardOnly(() => endOther(merge))) !== 'merged') throw error;
      return { deleted: [], regainedBytes: 0, warnings: [] };
    }
  }
}

const mergeOf = (op: Deletion, part: Pick<DiskState, 'snapshot' | 'disk'>) => ({
  kind: mergeKind,
  input: mergeInput(op.input, part, op.status.bandwidthBytesPerSecond),
});
