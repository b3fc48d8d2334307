/**
 * Every kind of operation. The client's start, its lists, results and pages, and the tests of all
 * kinds come from this list; what a kind needs elsewhere is a `Record<KindName, …>`, so that the
 * compiler names what is missing.
 */
import { defineQuery } from '@temporalio/workflow';
import { mergeKind } from './merge/kind.ts';
import { STATUS } from './operation/contract.ts';
import type { KindResult, KindStatus } from './operation/kind.ts';
import { removalKind } from './removal/kind.ts';
import { creationKind } from './snapshot/create/kind.ts';
import { deletionKind } from './snapshot/delete/kind.ts';
import { revertKind } from './snapshot/revert/kind.ts';
import { moveDisksKind } from './transfer/disks/kind.ts';
import { copyKind, moveKind } from './transfer/kind.ts';

export const kinds = {
  LiveMerge: mergeKind,
  MoveImage: moveKind,
  CopyImage: copyKind,
  MoveDisks: moveDisksKind,
  RemoveImage: removalKind,
  CreateSnapshot: creationKind,
  DeleteSnapshot: deletionKind,
  RevertSnapshot: revertKind,
};

export type Kinds = typeof kinds;
export type KindName = keyof Kinds;
export const kindNames = Object.keys(kinds) as KindName[];

/** Answer of the `status` query of any operation; `operation` says which. */
export type OperationStatus = { [K in KindName]: KindStatus<Kinds[K]> }[KindName];
export const statusQuery = defineQuery<OperationStatus>(STATUS);
export type Phase = OperationStatus['phase'];

/** How an operation of any kind has ended. */
export type OperationResult = { [K in KindName]: KindResult<Kinds[K]> }[KindName];
