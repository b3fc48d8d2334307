/** The typed client library: start, follow and cancel operations from scripts. */
export { connectBlockflow, type Blockflow } from './library/connect-blockflow.ts';
export { BlockflowError, exitCodeOf, exitCodes } from './library/failure.ts';
export type {
  ClientFailureCode,
  ClientFailureDetails,
  ClientFailureType,
} from './library/failure.ts';
export type { FollowOptions, Operation, ProgressListener } from './library/operation.ts';
export type {
  CopyRequest,
  DeletionRequest,
  DisksRequest,
  MergeRequest,
  MoveRequest,
  RemoveRequest,
  RevertRequest,
} from './library/requests.ts';
export type { OperationState, OperationView, PartView } from './library/operation-view.ts';
export type { ListFilter, OperationSummary } from './library/list-operations.ts';
export type { DiskName, EventFilter } from './library/questions.ts';
export type { ConnectOptions } from './library/session.ts';
export type { ImageRef } from '../workflows/chain/references.ts';
export type { ChainObservation, Volume } from '../workflows/chain/schemas.ts';
export type { KindName, OperationResult, OperationStatus, Phase } from '../workflows/kinds.ts';
export type { LiveMergeResult, MergeStatus } from '../workflows/merge/kind.ts';
export type { MergePlan, PlanOutcome } from '../workflows/merge/plan.ts';
export type { AuditEvent } from '../workflows/operation/audit/audit.ts';
export type { Progress } from '../workflows/operation/contract.ts';
export type { PoolLease } from '../workflows/pools/activities.ts';
export type { RemovalStatus, RemoveImageResult } from '../workflows/removal/kind.ts';
export type { RemovalPlan } from '../workflows/removal/plan.ts';
export type { DeleteSnapshotResult, DeletionStatus } from '../workflows/snapshot/delete/kind.ts';
export type { DeletionPlan } from '../workflows/snapshot/delete/plan.ts';
export type { RevertSnapshotResult, RevertStatus } from '../workflows/snapshot/revert/kind.ts';
export type { RevertPlanOutcome } from '../workflows/snapshot/revert/plan.ts';
export type { ListedSnapshot, SnapshotTree } from '../workflows/snapshot/list/schemas.ts';
export type { MoveDisksResult, MoveDisksStatus } from '../workflows/transfer/disks/kind.ts';
export type { DisksPlan } from '../workflows/transfer/disks/plan.ts';
export type { TransferResult, TransferStatus } from '../workflows/transfer/kind.ts';
export type { ImagePlan, ImagePlanOutcome } from '../workflows/transfer/plan.ts';
