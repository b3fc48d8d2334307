/** The typed client library: start, follow and cancel operations from scripts. */
export { connectBlockflow, type Blockflow } from './connect-blockflow.ts';
export { BlockflowError, exitCodeOf, exitCodes } from './client-failure.ts';
export type {
  ClientFailureCode,
  ClientFailureDetails,
  ClientFailureType,
} from './client-failure.ts';
export type {
  FollowOptions,
  Operation,
  OperationResult,
  ProgressListener,
} from './operation.ts';
export type { CopyRequest, MoveRequest, RemoveRequest } from './start-image.ts';
export type {
  ImagePlan,
  ImagePlanOutcome,
  ImageRef,
  PoolLease,
  RemovalPlan,
  RemoveImageResult,
  TransferResult,
} from '../workflows/image-schemas.ts';
export type { OperationState, OperationView } from './operation-view.ts';
export type { ListFilter, OperationSummary } from './list-operations.ts';
export type { DiskName, EventFilter } from './ask-agents.ts';
export type { MergeRequest } from './start-merge.ts';
export type { ConnectOptions } from './session.ts';
export type { OperationStatus, Phase, Progress } from '../workflows/contract.ts';
export type {
  AuditEvent,
  ChainObservation,
  LiveMergeResult,
  MergePlan,
  PlanOutcome,
  Volume,
} from '../workflows/schemas.ts';
