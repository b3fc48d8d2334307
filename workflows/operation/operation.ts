/**
 * What every running operation knows of itself and tells: status query, details, search attributes,
 * audit events, and what a cancel means now.
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
  type QueryDefinition,
} from '@temporalio/workflow';
import { auditLog, type AwayListener } from './agents.ts';
import { searchAttributes, type OperationStatus } from './contract.ts';
import { otherHosts, type AgentOf } from './other-hosts.ts';
import type { AuditEvent } from '../chain/schemas.ts';

/** What the status of every operation tells; each has phases of its own. */
interface Facts extends Omit<OperationStatus, 'operation' | 'phase' | 'mode'> {
  operation: AuditEvent['operation'];
  phase: string;
}
type About<O> = { operation: O } & Pick<
  OperationStatus,
  'vm' | 'disk' | 'host' | 'bandwidthBytesPerSecond'
>;

export interface Operation<S extends Facts> {
  /** Its workflow's id, as messages name it. */
  id: string;
  jobId: string;
  status: S;
  /** The request in words. */
  words: string;
  requestedBy: string;
  /** What a cancel means before the point of no return, and after it. */
  cancel: { before: string; after: string };
  /** Settled once the refusal of a cancel is in the audit log; null while no cancel was refused. */
  refusal: Promise<void> | null;
  /** Agents of other hosts. */
  hostAt: AgentOf;
  /** Tells which agent does not answer, and with null that it does again. */
  away: AwayListener;
  /** Tells facts that changed without the phase. */
  tell(changes: Partial<Omit<Facts, 'operation' | 'phase'>>): void;
  /** Enters a phase; `changes` are the other facts that changed with it. */
  enter: (phase: S['phase'], changes?: Partial<S>) => void;
  /** Writes an event to the audit log, at most once for each kind in a run. */
  record(kind: AuditEvent['kind'], reason: string, after?: string[]): Promise<void>;
}
/** Any of them, where its own phases do not matter. */
export type AnyOperation = Omit<Operation<Facts>, 'enter'>;

type Opening<S extends Facts> = Pick<
  Operation<S>,
  'id' | 'jobId' | 'words' | 'requestedBy' | 'cancel'
> & { statusQuery: QueryDefinition<S>; detailsOf: (status: S) => string };

export const statusOf = <O>(about: About<O>, meaning: string) => ({
  ...about,
  phase: 'planning' as const,
  since: new Date().toISOString(),
  cancel: { possible: true, meaning },
  away: null,
  note: null,
  mode: null,
  jobId: null,
  chainBefore: [],
  chainTarget: [],
  committedBytes: 0,
});

export function openOperation<S extends Facts>(
  status: S,
  { statusQuery, detailsOf, ...opening }: Opening<S>,
): Operation<S> {
  const tell = (changes: object) => {
    Object.assign(status, changes);
    setCurrentDetails(detailsOf(status));
  };
  const away: AwayListener = (who) =>
    tell({ away: who && `${who} (since ${new Date().toISOString()})` });
  const op: Operation<S> = {
    ...opening,
    status,
    refusal: null,
    hostAt: otherHosts(away),
    away,
    tell,
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
export function passPointOfNoReturn(op: AnyOperation): void {
  if (CancellationScope.current().consideredCancelled)
    throw new CancelledFailure('cancelled in time');
  op.tell({ cancel: { possible: false, meaning: op.cancel.after } });
}

/**
 * Refuses a cancel that came, unless it is still followed. Told in the details, the warnings and
 * the audit log.
 */
function refuseLateCancel(op: AnyOperation): void {
  if (op.status.cancel.possible || op.refusal) return;
  op.tell({ note: refusedCancel(op) });
  op.refusal = CancellationScope.nonCancellable(() => op.record('cancel-refused', op.cancel.after));
}

export const refusedCancel = (op: AnyOperation) => `cancel ${op.cancel.after}`;

/**
 * The chain has switched. A cancel that came while it did so, and that no activity heard, is
 * refused now.
 */
export function goForwardOnly(op: AnyOperation): void {
  op.tell({ cancel: { possible: false, meaning: op.cancel.after } });
  if (CancellationScope.current().consideredCancelled) refuseLateCancel(op);
}

/** Undoes `passPointOfNoReturn` when the chain shows that the switch did not happen. */
export function returnBeforePoint(op: AnyOperation, note: string): void {
  op.tell({ cancel: { possible: true, meaning: op.cancel.before }, note });
}

/**
 * Resolves when everybody who sent an update has its answer: Temporal fails an update that its
 * workflow does not wait for. It cannot last: without a job there is nothing to limit.
 */
export const everyUpdateAnswered = () =>
  CancellationScope.nonCancellable(() => condition(allHandlersFinished));

/** Search attributes cost an event each time, so only the phases one searches for are written. */
export function showInList(op: AnyOperation, outcome?: string): void {
  upsertSearchAttributes([
    { key: searchAttributes.phase, value: op.status.phase },
    ...(outcome ? [{ key: searchAttributes.outcome, value: outcome }] : []),
  ]);
}

function eventOf(
  { status, words, requestedBy }: AnyOperation,
  kind: AuditEvent['kind'],
  reason: string,
  after: string[],
): AuditEvent {
  const { operation, vm, disk, host, chainBefore } = status;
  const { runId, workflowId } = workflowInfo();
  return {
    id: `${runId}-${kind}`,
    time: new Date().toISOString(),
    operation,
    workflowId,
    vm,
    disk,
    host,
    kind,
    request: words,
    who: requestedBy,
    reason,
    before: chainBefore,
    after,
  };
}
