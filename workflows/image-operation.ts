/**
 * What a running operation on an image knows of itself and tells: status, details, audit events,
 * cancel.
 */
import {
  CancellationScope,
  CancelledFailure,
  ContinueAsNew,
  isCancellation,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import { auditLog, hostAgent, spmAgent, type Call } from './agents.ts';
import { bandwidthUpdate, searchAttributes } from './contract.ts';
import type { HostActivities, StorageActivities } from './contract.ts';
import { assertRate } from './decision.ts';
import { mebibytes } from './details.ts';
import { everyUpdateAnswered } from './operation.ts';
import { imageDetails } from './image-details.ts';
import { failureDetails } from './failures.ts';
import { partFailure } from './image-failures.ts';
import type { ImageRef } from './image-schemas.ts';
import { imageId, imageStatusQuery } from './move-contract.ts';
import type { ImageHostActivities, ImageOperationName, ImagePart } from './move-contract.ts';
import type { ImagePhase, ImageStatus, ImageStorageActivities } from './move-contract.ts';
import { otherHosts, type AgentOf } from './other-hosts.ts';
import type { AuditEvent } from './schemas.ts';

type HostCall = Call<ImageHostActivities & Pick<HostActivities, 'awaitSpace'>>;
type StorageCall = Call<ImageStorageActivities & Pick<StorageActivities, 'ensureVolumesAbsent'>>;

export interface ImageOperation {
  id: string;
  image: ImageRef;
  jobId: string;
  /** Under which this run has its reservations: an id of its own, also in the job of an earlier. */
  owner: string;
  status: ImageStatus;
  /** The request in words. */
  words: string;
  requestedBy: string;
  /** What a failure at this moment would be a failure of. */
  part: ImagePart;
  /** What is true after a failure of this part has been undone. */
  truth: string;
  refusal: Promise<void> | null;
  host: HostCall;
  /** Agents of other hosts. */
  hostAt: AgentOf;
  spm(pool: string): StorageCall;
  enter(phase: ImagePhase, changes?: Partial<ImageStatus>): void;
  record(kind: AuditEvent['kind'], reason: string, after?: string[]): Promise<void>;
}

export interface Opening {
  operation: ImageOperationName;
  image: ImageRef;
  host: string;
  jobId: string;
  bandwidthBytesPerSecond: number;
  words: string;
  requestedBy: string;
  /** What a cancel means before the point of no return, and after it. */
  cancel: { before: string; after: string };
}

const PARTS: Partial<Record<ImagePhase, ImagePart>> = {
  planning: 'plan',
  reserving: 'copy',
  copying: 'copy',
  verifying: 'verify',
  naming: 'switch',
  switching: 'switch',
};

export function openImageOperation(opening: Opening): ImageOperation {
  const { image, host, cancel } = opening;
  const status: ImageStatus = {
    operation: opening.operation,
    vm: image.kind === 'disk' ? image.vm : image.pool,
    disk: image.kind === 'disk' ? image.disk : image.volume,
    host,
    phase: 'planning',
    since: new Date().toISOString(),
    cancel: { possible: true, meaning: cancel.before },
    away: null,
    note: null,
    mode: null,
    jobId: null,
    chainBefore: [],
    chainTarget: [],
    committedBytes: 0,
    bandwidthBytesPerSecond: opening.bandwidthBytesPerSecond,
  };
  const tell = (changes: Partial<ImageStatus>) => {
    Object.assign(status, changes);
    setCurrentDetails(imageDetails(status));
  };
  const away = (who: string | null) =>
    tell({ away: who && `${who} (since ${new Date().toISOString()})` });
  const op: ImageOperation = {
    ...{ id: imageId(image), image, jobId: opening.jobId, status, words: opening.words },
    owner: opening.jobId,
    ...{ requestedBy: opening.requestedBy, part: 'plan', truth: 'nothing was done', refusal: null },
    host: hostAgent(host, away),
    hostAt: otherHosts(away),
    spm: (pool) => spmAgent(pool, away),
    enter(phase, changes = {}) {
      op.part = PARTS[phase] ?? op.part;
      const since = phase === status.phase ? status.since : new Date().toISOString();
      tell({ phase, since, ...changes });
    },
    async record(kind, reason, after = []) {
      await auditLog.ensureEventRecorded(eventOf(op, kind, reason, after));
    },
  };
  setHandler(imageStatusQuery, () => status, {
    description: 'Phase, volumes, and what happens if one cancels now',
  });
  setHandler(bandwidthUpdate, (bytesPerSecond) => setBandwidth(op, bytesPerSecond), {
    description: 'Limit of the running copy in bytes per second, 0 for none',
    validator: assertRate,
  });
  CancellationScope.current().cancelRequested.catch(() => refuseLateCancel(op, cancel.after));
  tell({});
  return op;
}

async function setBandwidth(op: ImageOperation, bandwidthBytesPerSecond: number): Promise<string> {
  op.enter(op.status.phase, { bandwidthBytesPerSecond });
  const words =
    bandwidthBytesPerSecond === 0 ? 'no limit' : `${mebibytes(bandwidthBytesPerSecond)}/s`;
  if (op.status.phase !== 'copying') return `${words}, from the next copy on`;
  const input = { jobId: op.jobId, bandwidthBytesPerSecond };
  const running = await op.host('ensureCopyBandwidth', input, `limit the copy to ${words}`);
  return running ? words : `${words}, from the next volume on`;
}

/** A copy that begins anew has a reservation of its own. */
export function beginAnew(op: ImageOperation, note: string): void {
  op.jobId = uuid4();
  op.owner = op.jobId;
  op.enter('planning', { note });
}

/**
 * From here on the operation only goes forward.
 * @throws CancelledFailure when a cancel came that nobody has heard yet
 */
export function passPointOfNoReturn(op: ImageOperation, meaning: string): void {
  if (CancellationScope.current().consideredCancelled)
    throw new CancelledFailure('cancelled in time');
  op.enter(op.status.phase, { cancel: { possible: false, meaning } });
}

export function refuseLateCancel(op: ImageOperation, meaning: string): void {
  if (op.status.cancel.possible || op.refusal) return;
  op.enter(op.status.phase, { note: `cancel ${meaning}` });
  op.refusal = CancellationScope.nonCancellable(() => op.record('cancel-refused', meaning));
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
  upsertSearchAttributes([
    { key: searchAttributes.phase, value: op.status.phase },
    { key: searchAttributes.outcome, value: outcome },
  ]);
}

function eventOf(
  op: ImageOperation,
  kind: AuditEvent['kind'],
  reason: string,
  after: string[],
): AuditEvent {
  const { vm, disk, host, operation, chainBefore } = op.status;
  return {
    id: `${workflowInfo().runId}-${kind}`,
    time: new Date().toISOString(),
    ...{ operation, workflowId: workflowInfo().workflowId, vm, disk, host, kind },
    ...{ request: op.words, who: op.requestedBy, reason, before: chainBefore, after },
  };
}
