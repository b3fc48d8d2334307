/**
 * What every running operation knows of itself and says: status query, page, search attributes,
 * audit events, and what a cancel means now.
 */
import {
  CancellationScope,
  defineQuery,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import type { Agent, Table } from './activities.ts';
import { hostAgent, recordEvent, spmAgent, type AgentListener } from './agents.ts';
import type { AuditEvent } from './audit/audit.ts';
import { searchAttributes, STATUS, STUCK, type CommonStatus, type InPool } from './contract.ts';
import type { Part } from './failures.ts';
import type { AnyKind, KindRequest, KindStatus } from './kind.ts';
import { statusPage } from './page.ts';
import { createPointOfNoReturn, type PointOfNoReturn } from './point-of-no-return.ts';
import { createStuck, type NamedEvent, type RecordAs } from './stuck.ts';

/** What an operation is to code that serves all kinds. */
export interface AnyOperation extends AgentListener {
  /** Its workflow's id, as messages name it. */
  id: string;
  jobId: string;
  status: CommonStatus;
  /** The request in words. */
  words: string;
  requestedBy: string;
  point: PointOfNoReturn;
  /** What a failure at this moment would be a failure of; null: it stands for itself. */
  part: Part | null;
  /** What is true after a failure, or a cancel, has been undone. */
  truth: string;
  /** Tells facts that changed without the phase. */
  tell(changes: Partial<Omit<CommonStatus, 'operation' | 'phase'>>): void;
  /** Shows the end on the page and in lists. */
  finish(note: string, outcome: AuditEvent['kind']): void;
  /**
   * Writes an event to the audit log, at most once for each kind in a run. It waits for a log that
   * cannot be written, but keeps no cancel from ending the operation.
   */
  record(kind: AuditEvent['kind'], reason: string, after?: string[]): Promise<void>;
}

/** An operation of one kind. */
export interface Operation<K extends AnyKind = AnyKind> extends AnyOperation {
  input: KindRequest<K>;
  status: KindStatus<K> & CommonStatus;
  tell(changes: Partial<Omit<KindStatus<K>, 'operation' | 'phase'>>): void;
  /** Enters a phase; `changes` are the other facts that changed with it. */
  enter(phase: KindStatus<K>['phase'], changes?: Partial<KindStatus<K>>): void;
}

/** The agents of an operation: that of its host, and those of pools. */
export interface Agents<OnHost extends Table, OnStorage extends Table> {
  host: Agent<OnHost>;
  /** Of the pool of a volume, or of a folder. */
  spm(place: InPool): Agent<OnStorage>;
}

export const agentsOf = <OnHost extends Table, OnStorage extends Table>(
  op: AnyOperation,
): Agents<OnHost, OnStorage> => ({
  host: hostAgent(op.status.host, op),
  spm: (place) => spmAgent(place, op),
});

/** For steps that wait for a turn: the operation that was started first has it first. */
export const startedAt = () => ({ startedAtMs: workflowInfo().startTime.getTime() });

const isUndoable = ({ cancel }: CommonStatus) => cancel.possible;

function statusOf<K extends AnyKind>(kind: K, input: KindRequest<K>): KindStatus<K> {
  const request = input as { host: string; bandwidthBytesPerSecond?: number };
  const status: CommonStatus = {
    ...kind.subject(input),
    ...kind.facts,
    operation: kind.type as string,
    host: request.host,
    bandwidthBytesPerSecond: request.bandwidthBytesPerSecond ?? 0,
    phase: 'planning',
    since: new Date().toISOString(),
    cancel: { possible: true, meaning: kind.cancel(input).before },
    away: null,
    stuck: null,
    note: null,
    jobId: null,
    chainBefore: [],
    chainTarget: [],
  };
  return status as KindStatus<K>;
}

/** Called once, in the scope that a cancel reaches. */
export function openOperation<K extends AnyKind>(kind: K, input: KindRequest<K>): Operation<K> {
  const status = statusOf(kind, input) as KindStatus<K> & CommonStatus;
  const id = kind.id(input);
  const parts = kind.parts as Partial<Record<string, Part>>;
  const tell = (changes: object) => {
    Object.assign(status, changes);
    setCurrentDetails(statusPage(kind, status, id));
  };
  const words = kind.words(input);
  const { requestedBy } = input as { requestedBy: string };
  const recordAs: RecordAs = (event) =>
    recordEvent(
      eventOf({ status, words, requestedBy }, event),
      (who) => op.away(who),
      () => scope.consideredCancelled && isUndoable(status),
    );
  const record: AnyOperation['record'] = (event, reason, after = []) =>
    recordAs({ name: event, kind: event, reason, after });
  const scope = CancellationScope.current();
  const lists = createList(kind);
  const showStuck = (why: string | null) => {
    lists.stick(why !== null);
    tell({ stuck: why });
  };
  const op: Operation<K> = {
    id,
    input,
    jobId: kind.jobId(input) ?? uuid4(),
    status,
    words,
    requestedBy,
    point: createPointOfNoReturn({
      status,
      meaning: kind.cancel(input),
      tell,
      recordRefusal: (reason) => record('cancel-refused', reason),
    }),
    part: parts['planning'] ?? null,
    truth: kind.untouched(input),
    away: (who) => tell({ away: who && `${who} (since ${new Date().toISOString()})` }),
    stuck: createStuck(showStuck, recordAs),
    goesForward: () => !isUndoable(status),
    tell,
    enter(phase: string, changes = {}) {
      const { phase: before, since: begun }: CommonStatus = status;
      const since = phase === before ? begun : new Date().toISOString();
      op.part = parts[phase] ?? op.part;
      tell({ phase, since, ...changes });
      lists.enter(phase);
    },
    finish(note, outcome) {
      tell({ phase: 'finished', since: new Date().toISOString(), note, cancel: OVER });
      lists.end(outcome);
    },
    record,
  };
  answerStatus(status);
  tell({});
  return op;
}

const answerStatus = (status: CommonStatus) =>
  setHandler(defineQuery<CommonStatus>(STATUS), () => status, {
    description: 'Phase, chain, and what happens if one cancels now',
  });

const OVER = { possible: false, meaning: 'it is over' };

/** Search attributes cost an event each time, so only the phases one searches for are written. */
function createList(kind: AnyKind) {
  let listed = 'planning';
  let isStuck = false;
  const show = () =>
    upsertSearchAttributes([{ key: searchAttributes.phase, value: isStuck ? STUCK : listed }]);
  return {
    /** What is stuck is found by that, and not by its phase. */
    stick(now: boolean): void {
      if (now === isStuck) return;
      isStuck = now;
      show();
    },
    enter(phase: string): void {
      // What is planned again copies again.
      if (phase === 'planning') listed = phase;
      if (phase === listed || !(kind.listed as readonly string[]).includes(phase)) return;
      listed = phase;
      show();
    },
    end(outcome: string): void {
      upsertSearchAttributes([
        { key: searchAttributes.phase, value: 'finished' },
        { key: searchAttributes.outcome, value: outcome },
      ]);
    },
  };
}

function eventOf(
  { status, words, requestedBy }: Pick<AnyOperation, 'status' | 'words' | 'requestedBy'>,
  { name, kind, reason, after }: NamedEvent,
): AuditEvent {
  const { operation, vm, disk, host, chainBefore } = status;
  const { runId, workflowId } = workflowInfo();
  return {
    id: `${runId}-${name}`,
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
