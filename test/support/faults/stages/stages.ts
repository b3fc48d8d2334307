/** The stage of each operation that has effects; the tests of all effects go over them. */
import type { Matrix } from '../strike-list.ts';
import { useDeletionStage } from './deletion-stage.ts';
import { useDisksStage } from './disks-stage.ts';
import { useMergeStage } from './merge-stage.ts';
import { useMoveStage } from './move-stage.ts';
import { useSnapshotStage } from './snapshot-stage.ts';
import { useRevertStage } from './revert-stage.ts';
import type { Stage } from './stage.ts';

/** @param writes that a running guest has to make before the strike, and again after it */
type UseStage = (name: string, writes?: number) => Stage;

/** Registers the hooks of a stage in the file, or the group of tests, that calls it. */
export const useStage: Record<Matrix, UseStage> = {
  merge: useMergeStage,
  move: useMoveStage,
  'move disks': useDisksStage,
  'snapshot create': useSnapshotStage,
  'snapshot delete': useDeletionStage,
  'snapshot revert': useRevertStage,
};

export const matrices = Object.keys(useStage) as Matrix[];
