/** A revert in words. Pure. */
import { typed } from '../../operation/names.ts';
import type { RevertSnapshotInput } from './request.ts';

/** The request as one would type it; equal words are the same request. */
export function revertWords(input: RevertSnapshotInput): string {
  const { vm, name, undo, start, dropMemory, keepSeconds } = input;
  return [
    `snapshot revert ${typed(vm)}`,
    ...(name === null ? [] : [typed(name)]),
    ...(undo ? ['--undo'] : []),
    ...(start ? ['--start'] : []),
    ...(dropMemory ? ['--drop-memory'] : []),
    ...(keepSeconds === DEFAULT_KEEP_SECONDS ? [] : [`--keep ${durationWords(keepSeconds)}`]),
  ].join(' ');
}

const DEFAULT_KEEP_SECONDS = 7 * 86_400;
const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
] as const;

/** `7d`, `36h`, `90s`: in the largest unit that is exact. */
export function durationWords(seconds: number): string {
  const [unit, size] = UNITS.find(([, each]) => seconds % each === 0) ?? ['s', 1];
  return `${seconds / size}${unit}`;
}

/** Of an undo that goes on with the revert before the one that is undone already. */
export const laterUndone = ({ laterUndoneAt }: { laterUndoneAt?: string | undefined }): string[] =>
  laterUndoneAt === undefined
    ? []
    : [`a later revert was undone at ${laterUndoneAt}: this undid the one before it`];
