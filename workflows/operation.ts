/**
 * What a running operation knows of itself and tells: status query, details, search attributes,
 * audit events.
 */
import {
  allHandlersFinished,
  CancellationScope,
  CancelledFailure,
  condition,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { auditLog, hostAgent, spmAgent, type Call } from './agents.ts';
import { operationId, searchAttributes, statusQuery } from './contract.ts';
import type { HostActivities, OperationStatus, Phase, StorageActivities } from './contract.ts';
import { detailsOf } from './details.ts';
import { otherHosts, type AgentOf } from './other-hosts.ts';
import { requestWords } from './request-words.ts';
import type { AuditEvent, LiveMergeInput } from './schemas.ts';

export interface Operation {
  input: LiveMergeInput;
  id: string;
  jobId: string;
  status: OperationStatus;
  /** Settled once the refusal of a cancel is in the audit log; null while no cancel was refused. */
  refusal: Promise<void> | null;
  host: Call<HostActivities>;
  /** Agents of other hosts. */
  hostAt: AgentOf;
  spm(pool: string): Call<StorageActivities>;
  /** Enters a phase; `changes` are the other facts that changed with it. */
  enter(phase: Phase, changes?: Partial<OperationStatus>): void;
  /** Writes an event to the audit log, at most once for each kind in a run. */
  record(kind: AuditEvent['kind'], reason: string, after?: string[]): Promise<void>;
}

const BEFORE = 'the job is ended, the chain stays as it is, nothing is left behind';
const AFTER = 'refused: the switch has been requested, so the merge is completed';
export const REFUSED = `cancel ${AFTER}`;

export function openOperation(input: LiveMergeInput, jobId: string): Operation {
  const status: OperationStatus = {
    operation: 'LiveMerge',
    vm: input.vm,
    disk: input.disk,
    host: input.host,
    phase: 'planning',
    since: new Date().toISOString(),
    cancel: { possible: true, meaning: BEFORE },
    away: null,
    note: null,
    mode: null,
    jobId: null,
    chainBefore: [],
    chainTarget: [],
    committedBytes: 0,
    bandwidthBytesPerSecond: input.bandwidthBytesPerSecond,
  };
  const tell = (changes: Partial<OperationStatus>) => {
    Object.assign(status, changes);
    setCurrentDetails(detailsOf(status));
  };
  const away = (who: string | null) =>
    tell({ away: who && `${who} (since ${new Date().toISOString()})` });
  const op: Operation = {
    input,
    id: operationId(input),
    jobId,
    status,
    refusal: null,
    host: hostAgent(input.host, away),
    hostAt: otherHosts(away),
    spm: (pool) => spmAgent(pool, away),
    enter(phase, changes = {}) {
      const since = phase === status.phase ? status.since : new Date().toISOString();
      tell({ phase, since, ...changes });
    },
    record: (kind, reason, after = []) =>
      auditLog.ensureEventRecorded(eventOf(op, kind, reason, after)),
  };
  setHandler(statusQuery, () => status, {
    description: 'Phase, chain, and what happens if one cancels now',
  });
  CancellationScope.current().cancelRequested.catch(() => refuseLateCancel(op));
  tell({});
  return op;
}

/**
 * From here on the operation only goes forward: a cancel is refused, with the reason.
 * @throws CancelledFailure when a cancel came while its activity was ending well, so that nobody
 * has heard it yet
 */
export function passPointOfNoReturn(op: Operation): void {
  if (CancellationScope.current().consideredCancelled)
    throw new CancelledFailure('cancelled in time');
  op.enter(op.status.phase, { cancel: { possible: false, meaning: AFTER } });
}

/**
 * Refuses a cancel that came, unless it is still followed. Told in the details, the warnings and
 * the audit log.
 */
export function refuseLateCancel(op: Operation): void {
  if (op.status.cancel.possible || op.refusal) return;
  op.enter(op.status.phase, { note: REFUSED });
  op.refusal = CancellationScope.nonCancellable(() => op.record('cancel-refused', AFTER));
}

/**
 * The chain has switched. A cancel that came while it did so, and that no activity heard, is
 * refused now.
 */
export function goForwardOnly(op: Operation): void {
  op.enter(op.status.phase, { cancel: { possible: false, meaning: AFTER } });
  if (CancellationScope.current().consideredCancelled) refuseLateCancel(op);
}

/** Undoes `passPointOfNoReturn` when the chain shows that the switch did not happen. */
export function returnBeforePoint(op: Operation, note: string): void {
  op.enter(op.status.phase, { cancel: { possible: true, meaning: BEFORE }, note });
}

/**
 * Resolves when everybody who sent an update has its answer: Temporal fails an update that its
 * workflow does not wait for. It cannot last: without a job there is nothing to limit.
 */
export const everyUpdateAnswered = () =>
  CancellationScope.nonCancellable(() => condition(allHandlersFinished));

/** Search attributes cost an event each time, so only the phases one searches for are written. */
export function showInList(op: Operation, outcome?: string): void {
  upsertSearchAttributes([
    { key: searchAttributes.phase, value: op.status.phase },
    ...(outcome ? [{ key: searchAttributes.outcome, value: outcome }] : []),
  ]);
}

function eventOf(
  op: Operation,
  kind: AuditEvent['kind'],
  reason: string,
  after: string[],
): AuditEvent {
  const { vm, disk, host, requestedBy } = op.input;
  return {
    id: `${workflowInfo().runId}-${kind}`,
    time: new Date().toISOString(),
    operation: 'LiveMerge',
    workflowId: op.id,
    vm,
    disk,
    host,
    kind,
    request: requestWords(op.input),
    who: requestedBy,
    reason,
    before: op.status.chainBefore,
    after,
  };
}
