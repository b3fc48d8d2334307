/** Step 2: the merges of the disks of one snapshot, several at once, each with its own life. */
import {
  CancellationScope,
  ChildWorkflowCancellationType,
  getExternalWorkflowHandle,
  isCancellation,
  sleep,
  startChild,
  type ChildWorkflowHandle,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { operationId } from '../../chain/references.ts';
import { mergeKind, type LiveMergeResult } from '../../merge/kind.ts';
import type { LiveMergeInput } from '../../merge/request.ts';
import { auditLog } from '../../operation/agents.ts';
import { failureDetails, ownFailure, refused, retry } from '../../operation/failures.ts';
import { ownLife } from '../../operation/own-life.ts';
import { requestPage } from '../../operation/page.ts';
import { forwardOnly } from '../../operation/point-of-no-return.ts';
import { oneLine } from '../../operation/words.ts';
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
  if (!isBegun()) for (const disk of others) await assertOurs(op, inputOf(op, { snapshot, disk }));
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
    const failure = ownFailure(error) ?? endedFromOutside(op, part);
    tally.failures.push(failure);
    const state = failure.type === 'Refused' ? 'refused' : 'failed';
    tell(op, part, state, failureDetails(failure)?.details.now);
  } finally {
    await tally.waiting.giveBack(part.disk);
  }
}

const endedFromOutside = ({ status: { vm } }: Deletion, { snapshot, disk }: DiskState) =>
  retry('job-lost', {
    attempted: `merging the layer of snapshot ${snapshot} on ${vm}/${disk}`,
    now: 'its merge was terminated from outside, and its block job may still run',
    next: 'Repeat the request: it adopts what it finds and finishes it',
  });

/** The merge of an earlier run of this request may still have the disk: it is waited for. */
async function resultOf(op: Deletion, part: DiskState): Promise<Freed> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const input = inputOf(op, part);
    const started = await start(op, input);
    if (started) return started.result();
    try {
      await sleep(pauseMs);
      await assertOurs(op, input);
    } catch (error) {
      if (!isCancellation(error)) throw error;
      if ((await forwardOnly(() => endOther(input))) !== 'merged') throw error;
      return { deleted: [], regainedBytes: 0, warnings: [] };
    }
  }
}

const inputOf = (op: Deletion, part: Pick<DiskState, 'snapshot' | 'disk'>) =>
  mergeInput(op.input, part, op.status.bandwidthBytesPerSecond);

/** Each look costs some events of history, and a merge may take hours. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

type Merge = (input: LiveMergeInput) => Promise<LiveMergeResult>;

/** @returns null when an operation has the disk */
async function start(
  op: Deletion,
  input: LiveMergeInput,
): Promise<ChildWorkflowHandle<Merge> | null> {
  const words = mergeKind.words(input);
  try {
    return await startChild<Merge>(mergeKind.type, {
      ...ownLife(mergeKind, input, {
        staticSummary: oneLine(`${words} on ${input.host}, for \`${op.words}\``),
        staticDetails: requestPage(mergeKind, input),
      }),
      // Which disks are merged after a cancel is known when the last merge has ended.
      cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    });
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return null;
    throw error;
  }
}

const lastEvent = async ({ vm, disk }: LiveMergeInput) =>
  (await auditLog.observeEvents({ vm, disk, limit: 1 }))[0];

/** What the last event of an operation that runs may be. */
const RUNNING = new Set(['started', 'cancel-refused']);

/** @throws Refused `other-operation` when what has the disk is not the same merge */
async function assertOurs(op: Deletion, input: LiveMergeInput): Promise<void> {
  const last = await lastEvent(input);
  // What has ended meanwhile is met by the next start.
  if (!last || !RUNNING.has(last.kind) || last.request === mergeKind.words(input)) return;
  const id = operationId(input);
  throw refused('other-operation', {
    attempted: op.words,
    now: `another operation runs on ${id}: ${last.request}`,
    next: `Wait for it (\`blockflow status ${id}\`) or end it (\`blockflow cancel ${id}\`)`,
  });
}

/**
 * The merge of an earlier run is ended like our own ones. Whether that came in time is in the audit
 * log; one that is past its point of no return has a minute to say that it is merged.
 */
async function endOther(input: LiveMergeInput): Promise<string> {
  const merge = getExternalWorkflowHandle(operationId(input));
  await merge.cancel().catch(() => undefined);
  for (let look = 1; ; look++) {
    await sleep(FIRST_PAUSE_MS);
    const kind = (await lastEvent(input))?.kind ?? 'started';
    if (!RUNNING.has(kind) || look === 60) return kind;
  }
}
