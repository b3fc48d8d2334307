/**
 * Every kind of operation. The client's start, its lists, results and pages, and the tests of all
 * kinds come from this list; what a kind needs elsewhere is a `Record<KindName, …>`, so that the
 * compiler names what is missing.
 */
import { defineQuery } from '@temporalio/workflow';
import { mergeKind, type LiveMergeResult, type MergeStatus } from './merge/kind.ts';
import { STATUS } from './operation/contract.ts';
import { removalKind, type RemovalStatus, type RemoveImageResult } from './removal/kind.ts';
import { copyKind, moveKind, type TransferResult, type TransferStatus } from './transfer/kind.ts';

export const kinds = {
  LiveMerge: mergeKind,
  MoveImage: moveKind,
  CopyImage: copyKind,
  RemoveImage: removalKind,
};

export type Kinds = typeof kinds;
export type KindName = keyof Kinds;
export const kindNames = Object.keys(kinds) as KindName[];

/** Answer of the `status` query of any operation; `operation` says which. */
export type OperationStatus =
  MergeStatus | TransferStatus<'MoveImage'> | TransferStatus<'CopyImage'> | RemovalStatus;
export const statusQuery = defineQuery<OperationStatus>(STATUS);
export type Phase = OperationStatus['phase'];

/** How an operation of any kind has ended. */
export type OperationResult = LiveMergeResult | TransferResult | RemoveImageResult;
