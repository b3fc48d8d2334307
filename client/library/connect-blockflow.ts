import type { ChainObservation } from '../../workflows/chain/schemas.ts';
import { kinds, type KindName, type Kinds, type OperationResult } from '../../workflows/kinds.ts';
import type { PlanOutcome } from '../../workflows/merge/plan.ts';
import type { KindResult } from '../../workflows/operation/kind.ts';
import { DISK_LOCK } from '../../workflows/operation/contract.ts';
import type { AuditEvent } from '../../workflows/operation/audit/audit.ts';
import type { PoolLease } from '../../workflows/pools/activities.ts';
import type { RemoveImageResult } from '../../workflows/removal/kind.ts';
import type { RemovalPlan } from '../../workflows/removal/plan.ts';
import type { DeleteSnapshotResult } from '../../workflows/snapshot/delete/kind.ts';
import type { DeletionPlan } from '../../workflows/snapshot/delete/plan.ts';
import type { RevertSnapshotResult } from '../../workflows/snapshot/revert/kind.ts';
import type { RevertPlanOutcome } from '../../workflows/snapshot/revert/plan.ts';
import type { SnapshotTree } from '../../workflows/snapshot/list/schemas.ts';
import type { MoveDisksResult } from '../../workflows/transfer/disks/kind.ts';
import type { DisksPlan } from '../../workflows/transfer/disks/plan.ts';
import type { Lack } from '../../workflows/transfer/disks/planning.ts';
import type { TransferResult } from '../../workflows/transfer/kind.ts';
import type { ImagePlanOutcome } from '../../workflows/transfer/plan.ts';
import { listOperations, type ListFilter, type OperationSummary } from './list-operations.ts';
import { noOperation, openOperation, type Operation } from './operation.ts';
import {
  observeChain,
  observeEvents,
  observeLeases,
  observeSnapshots,
  type DiskName,
  type EventFilter,
} from './questions.ts';
import type { CreateSnapshotResult } from '../../workflows/snapshot/create/kind.ts';
import type { CreationPlan } from '../../workflows/snapshot/create/plan.ts';
import {
  planDeletion,
  planDisks,
  planMerge,
  planRemoval,
  planRevert,
  planSnapshot,
  planTransfer,
} from './plans.ts';
import type {
  CopyRequest,
  DeletionRequest,
  DisksRequest,
  MergeRequest,
  MoveRequest,
  RemoveRequest,
  RevertRequest,
  SnapshotRequest,
} from './requests.ts';
import { call, isNotFound, openSession, type ConnectOptions, type Session } from './session.ts';
import { startOperation } from './start-operation.ts';

/** A client of blockflow. Every method throws BlockflowError; `close` it at the end. */
export interface Blockflow {
  /** Address of the Temporal server. */
  readonly address: string;
  /** Host that is meant when a request names none. */
  readonly host: string;
  /**
   * Starts an operation of any kind, or attaches to the same request that runs already; the methods
   * below are this with the name of a kind.
   */
  start<K extends KindName>(kind: K, request: object): Promise<Operation<KindResult<Kinds[K]>>>;
  /** Starts a merge, or attaches to the same request that runs already. */
  merge(request: MergeRequest): Promise<Operation>;
  /** Moves an image with all its volumes to another pool. */
  move(request: MoveRequest): Promise<Operation<TransferResult>>;
  /** Moves, or copies as they are at one moment, several disks of a VM, or all. */
  moveDisks(request: DisksRequest): Promise<Operation<MoveDisksResult>>;
  /** Copies an image; no record is touched. */
  copy(request: CopyRequest): Promise<Operation<TransferResult>>;
  /** Deletes an image to which nothing refers. */
  remove(request: RemoveRequest): Promise<Operation<RemoveImageResult>>;
  /** Takes a snapshot of a VM: all its disks at one moment, or those that are named. */
  createSnapshot(request: SnapshotRequest): Promise<Operation<CreateSnapshotResult>>;
  /** Takes a snapshot out of all disks of a VM: a merge for each, then its record. */
  deleteSnapshot(request: DeletionRequest): Promise<Operation<DeleteSnapshotResult>>;
  /** Takes the disks of a VM that is down back to a snapshot, or undoes the last revert. */
  revertSnapshot(request: RevertRequest): Promise<Operation<RevertSnapshotResult>>;
  /**
   * The running operation on a disk, or on a whole VM (without a disk), or the last one; with a run
   * id of `list`, that one.
   */
  operation(vm: string, disk?: string, runId?: string): Promise<Operation<OperationResult>>;
  /** Operations, the newest first. */
  list(filter?: ListFilter): Promise<OperationSummary[]>;
  /** The chain of a disk in its four views, and where they disagree. */
  chain(disk: DiskName): Promise<ChainObservation>;
  /** The snapshots of a VM, parents first, and what is wrong with them. */
  snapshots(vm: string, host?: string): Promise<SnapshotTree>;
  /** What a merge would do; nothing is touched. */
  plan(request: MergeRequest): Promise<PlanOutcome>;
  /** What a move or copy would do; nothing is touched. */
  planMove(request: MoveRequest): Promise<ImagePlanOutcome>;
  planCopy(request: CopyRequest): Promise<ImagePlanOutcome>;
  planDisks(request: DisksRequest): Promise<DisksPlan | Lack>;
  planRemoval(request: RemoveRequest): Promise<RemovalPlan>;
  planSnapshot(request: SnapshotRequest): Promise<CreationPlan>;
  planDeletion(request: DeletionRequest): Promise<DeletionPlan>;
  planRevert(request: RevertRequest): Promise<RevertPlanOutcome>;
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
    start: (kind, request) => startOperation(session, kinds[kind], request),
    merge: (request) => startOperation(session, kinds.LiveMerge, request),
    move: (request) => startOperation(session, kinds.MoveImage, request),
    moveDisks: (request) => startOperation(session, kinds.MoveDisks, request),
    copy: (request) => startOperation(session, kinds.CopyImage, request),
    remove: (request) => startOperation(session, kinds.RemoveImage, request),
    createSnapshot: (request) => startOperation(session, kinds.CreateSnapshot, request),
    deleteSnapshot: (request) => startOperation(session, kinds.DeleteSnapshot, request),
    revertSnapshot: (request) => startOperation(session, kinds.RevertSnapshot, request),
    operation: (vm, disk, runId) => findOperation(session, { vm, disk }, runId),
    list: (filter) => listOperations(session, filter),
    chain: (disk) => observeChain(session, disk),
    snapshots: (vm, host) => observeSnapshots(session, { vm, ...(host ? { host } : {}) }),
    plan: (request) => planMerge(session, request),
    planMove: (request) => planTransfer(session, kinds.MoveImage, request),
    planCopy: (request) => planTransfer(session, kinds.CopyImage, request),
    planDisks: (request) => planDisks(session, request),
    planRemoval: (request) => planRemoval(session, request),
    planSnapshot: (request) => planSnapshot(session, request),
    planDeletion: (request) => planDeletion(session, request),
    planRevert: (request) => planRevert(session, request),
    events: (filter = {}) => observeEvents(session, filter),
    spm: (host) => observeLeases(session, host),
    close: () => session.connection.close(),
  };
}

const FIND_MS = 5000;

async function findOperation(
  session: Session,
  { vm, disk }: { vm: string; disk?: string | undefined },
  run?: string,
): Promise<Operation<OperationResult>> {
  const id = disk === undefined ? vm : `${vm}/${disk}`;
  const { workflow } = session.client;
  try {
    const { runId, type, status } = await call(
      session,
      `looking for an operation on ${id}`,
      FIND_MS,
      () => workflow.getHandle(id, run).describe(),
    );
    if (type === DISK_LOCK) return await besideLock(session, id, vm, status.name === 'RUNNING');
    const facts = { runId, attached: true };
    const kind = kinds[type as KindName];
    if (!Object.hasOwn(kinds, type)) throw noOperation(id);
    return openOperation<(typeof kinds)[KindName]>(
      session,
      workflow.getHandle(id, runId),
      facts,
      kind,
    );
  } catch (error) {
    throw isNotFound(error) ? noOperation(id) : error;
  }
}

/** The operation on the whole VM that has a disk; without one, the last that was on the disk. */
async function besideLock(session: Session, id: string, vm: string, isHeld: boolean) {
  if (isHeld) return findOperation(session, { vm });
  const ran = await listOperations(session, { id, limit: 1 });
  const [last] = ran;
  if (!last) throw noOperation(id);
  return findOperation(session, { vm, disk: id.slice(vm.length + 1) }, last.runId);
}
