/** What a running operation on an image knows of itself besides what every operation does. */
import { CancellationScope, ContinueAsNew, isCancellation, setHandler } from '@temporalio/workflow';
import { hostAgent, spmAgent, type Call } from '../operation/agents.ts';
import {
  bandwidthUpdate,
  type HostActivities,
  type StorageActivities,
} from '../operation/contract.ts';
import { assertRate } from '../merge/decision.ts';
import { limitWords } from '../operation/page.ts';
import { imageDetails } from './page.ts';
import { failureDetails } from '../operation/failures.ts';
import { partFailure } from '../operation/image-failures.ts';
import type { ImageRef } from './schemas.ts';
import {
  imageId,
  imageStatusQuery,
  type ImageHostActivities,
  type ImageOperationName,
  type ImagePart,
  type ImagePhase,
  type ImageStatus,
  type ImageStorageActivities,
} from './activities.ts';
import {
  everyUpdateAnswered,
  openOperation,
  showInList,
  statusOf,
  type Operation,
} from '../operation/operation.ts';
import type { AuditEvent } from '../chain/schemas.ts';

type HostCall = Call<ImageHostActivities & Pick<HostActivities, 'awaitSpace'>>;
type StorageCall = Call<ImageStorageActivities & Pick<StorageActivities, 'ensureVolumesAbsent'>>;

export interface ImageOperation extends Operation<ImageStatus> {
  image: ImageRef;
  /** Under which this run has its reservations: an id of its own, also in the job of an earlier. */
  owner: string;
  /** What a failure at this moment would be a failure of. */
  part: ImagePart;
  /** What is true after a failure of this part has been undone. */
  truth: string;
  host: HostCall;
  spm(pool: string): StorageCall;
}

export interface Opening extends Pick<
  ImageOperation,
  'image' | 'jobId' | 'words' | 'requestedBy' | 'cancel'
> {
  operation: ImageOperationName;
  host: string;
  bandwidthBytesPerSecond: number;
}

const PARTS: Partial<Record<ImagePhase, ImagePart>> = {
  planning: 'plan',
  reserving: 'copy',
  copying: 'copy',
  verifying: 'verify',
  naming: 'switch',
  switching: 'switch',
};

/** What one searches for: each of them costs an event, so the short ones are left out. */
const LISTED: readonly ImagePhase[] = [
  ...(['waiting for space', 'waiting for the pool', 'waiting for the disk'] as const),
  ...(['copying', 'verifying', 'switching', 'wiping', 'deleting'] as const),
];

export function openImageOperation(opening: Opening): ImageOperation {
  const { image, jobId, words, requestedBy, cancel, ...about } = opening;
  const vm = image.kind === 'disk' ? image.vm : image.pool;
  const disk = image.kind === 'disk' ? image.disk : image.volume;
  const base = openOperation<ImageStatus>(statusOf({ ...about, vm, disk }, cancel.before), {
    id: imageId(image),
    jobId,
    words,
    requestedBy,
    cancel,
    statusQuery: imageStatusQuery,
    detailsOf: imageDetails,
  });
  const op: ImageOperation = Object.assign(base, {
    image,
    owner: jobId,
    part: 'plan' as const,
    truth: 'nothing was done',
    host: hostAgent(about.host, base.away),
    spm: (pool: string) => spmAgent(pool, base.away),
  });
  const { enter } = base;
  let listed: ImagePhase = 'planning';
  op.enter = (phase, changes) => {
    op.part = PARTS[phase] ?? op.part;
    enter(phase, changes);
    if (phase === listed || !LISTED.includes(phase)) return;
    listed = phase;
    showInList(op);
  };
  setHandler(bandwidthUpdate, (bytesPerSecond) => setBandwidth(op, bytesPerSecond), {
    description: 'Limit of the running copy in bytes per second, 0 for none',
    validator: assertRate,
  });
  return op;
}

async function setBandwidth(op: ImageOperation, bandwidthBytesPerSecond: number): Promise<string> {
  op.tell({ bandwidthBytesPerSecond });
  const words = limitWords(bandwidthBytesPerSecond);
  if (op.status.phase !== 'copying') return `${words}, from the next copy on`;
  const input = { jobId: op.jobId, bandwidthBytesPerSecond };
  await op.host('ensureCopyBandwidth', input, `limit the copy to ${words}`);
  return words;
}

/**
 * Runs an operation from its first audit event to its last; a failure tells which part failed and
 * what is true.
 */
export async function runImageOperation<T extends { summary: string; outcome: AuditEvent['kind'] }>(
  op: ImageOperation,
  success: { body: () => Promise<T>; after: (result: T) => string[] },
): Promise<T> {
  try {
    await op.record('started', op.words);
    const result = await success.body();
    await op.refusal;
    await CancellationScope.nonCancellable(() =>
      op.record(result.outcome, result.summary, success.after(result)),
    );
    finish(op, result.summary, result.outcome);
    return result;
  } catch (error) {
    if (error instanceof ContinueAsNew) throw error;
    throw await CancellationScope.nonCancellable(() => recordFailure(op, error));
  } finally {
    await everyUpdateAnswered();
  }
}

async function recordFailure(op: ImageOperation, error: unknown): Promise<unknown> {
  const told =
    isCancellation(error) || op.part === 'plan' ? error : partFailure(op.part, error, op.truth);
  const details = failureDetails(told);
  const kind = isCancellation(error)
    ? 'cancelled'
    : details?.type === 'Refused'
      ? 'refused'
      : 'failed';
  const words = details
    ? `${details.details.attempted}: ${details.details.now}. ${details.details.next}`
    : String(told);
  const reason = kind === 'cancelled' ? `cancelled: ${op.truth}` : words;
  await op.record(kind, reason, op.status.chainBefore);
  finish(op, reason, kind);
  return told;
}

function finish(op: ImageOperation, note: string, outcome: string): void {
  op.enter('finished', { note, cancel: { possible: false, meaning: 'it is over' } });
  showInList(op, outcome);
}
