import type { PoolLease } from '../../workflows/transfer/schemas.ts';
import type { AuditEvent, ChainObservation, PlanOutcome } from '../../workflows/chain/schemas.ts';
import {
  observeChain,
  observeEvents,
  observeLeases,
  planMerge,
  type DiskName,
  type EventFilter,
} from './questions.ts';
import { listOperations, type ListFilter, type OperationSummary } from './list-operations.ts';
import { imageMethods, type ImageMethods } from './start-image.ts';
import { noOperation, openOperation, type Operation, type OperationResult } from './operation.ts';
import { resultSchemaOf } from './result-schema.ts';
import { call, isNotFound, openSession, type ConnectOptions, type Session } from './session.ts';
import { startMerge, type MergeRequest } from './start-merge.ts';

/** A client of blockflow. Every method throws BlockflowError; `close` it at the end. */
export interface Blockflow extends ImageMethods {
  /** Address of the Temporal server. */
  readonly address: string;
  /** Host that is meant when a request names none. */
  readonly host: string;
  /** Starts a merge, or attaches to the same request that runs already. */
  merge(request: MergeRequest): Promise<Operation>;
  /** The running operation on a disk, or the last one; with a run id of `list`, that one. */
  operation(vm: string, disk: string, runId?: string): Promise<Operation<OperationResult>>;
  /** Operations, the newest first. */
  list(filter?: ListFilter): Promise<OperationSummary[]>;
  /** The chain of a disk in its four views, and where they disagree. */
  chain(disk: DiskName): Promise<ChainObservation>;
  /** What a merge would do; nothing is touched. */
  plan(request: MergeRequest): Promise<PlanOutcome>;
  /** The audit log, oldest first. */
  events(filter?: EventFilter): Promise<AuditEvent[]>;
  /** The pools of a host and their SPMs. */
  spm(host?: string): Promise<PoolLease[]>;
  close(): Promise<void>;
}

/**
 * Connects as `options` say, else as the standard Temporal environment does (TEMPORAL_ADDRESS,
 * profiles, TLS), else to the `blockflow up` of this machine.
 * @throws BlockflowError `temporal-away` when no server answers within 5 s.
 */
export async function connectBlockflow(options: ConnectOptions = {}): Promise<Blockflow> {
  const session = await openSession(options);
  return {
    address: session.address,
    host: session.host,
    ...imageMethods(session),
    merge: (request) => startMerge(session, request),
    operation: (vm, disk, runId) => findOperation(session, `${vm}/${disk}`, runId),
    list: (filter) => listOperations(session, filter),
    chain: (disk) => observeChain(session, disk),
    plan: (request) => planMerge(session, request),
    events: (filter = {}) => observeEvents(session, filter),
    spm: (host) => observeLeases(session, host),
    close: () => session.connection.close(),
  };
}

const FIND_MS = 5000;

async function findOperation(
  session: Session,
  id: string,
  run?: string,
): Promise<Operation<OperationResult>> {
  const { workflow } = session.client;
  try {
    const { runId, type } = await call(session, `looking for an operation on ${id}`, FIND_MS, () =>
      workflow.getHandle(id, run).describe(),
    );
    const facts = { runId, attached: true };
    return openOperation(session, workflow.getHandle(id, runId), facts, resultSchemaOf(type));
  } catch (error) {
    throw isNotFound(error) ? noOperation(id) : error;
  }
}
