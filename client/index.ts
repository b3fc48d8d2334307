/** The typed client library: start, follow and cancel operations from scripts. */
export { connectBlockflow, type Blockflow } from './library/connect-blockflow.ts';
export { BlockflowError, exitCodeOf, exitCodes } from './library/failure.ts';
export type {
  ClientFailureCode,
  ClientFailureDetails,
  ClientFailureType,
} from './library/failure.ts';
export type {
  FollowOptions,
  Operation,
  OperationResult,
  ProgressListener,
} from './library/operation.ts';
export type { CopyRequest, MoveRequest, RemoveRequest } from './library/start-image.ts';
export type {
  ImagePlan,
  ImagePlanOutcome,
  ImageRef,
  PoolLease,
  RemovalPlan,
  RemoveImageResult,
  TransferResult,
} from '../workflows/transfer/schemas.ts';
export type { OperationState, OperationView } from './library/operation-view.ts';
export type { ListFilter, OperationSummary } from './library/list-operations.ts';
export type { DiskName, EventFilter } from './library/questions.ts';
export type { MergeRequest } from './library/start-merge.ts';
export type { ConnectOptions } from './library/session.ts';
export type { OperationStatus, Phase, Progress } from '../workflows/operation/contract.ts';
export type {
  AuditEvent,
  ChainObservation,
  LiveMergeResult,
  MergePlan,
  PlanOutcome,
  Volume,
} from '../workflows/chain/schemas.ts';
