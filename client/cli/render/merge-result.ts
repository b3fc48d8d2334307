import { basename } from 'node:path';
import type { LiveMergeResult } from '../../../workflows/merge/kind.ts';
import type { Screen } from '../screen.ts';
import { sizeWords } from '../../../workflows/operation/words.ts';

/** `base.qcow2 ← top.qcow2`: base-most first. */
export const chainWords = (paths: readonly string[]) =>
  paths.map((path) => basename(path)).join(' ← ');

export const msWords = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

/** What a finished merge has done, for a person. */
export function resultLines(result: LiveMergeResult, paint: Screen['paint']): string[] {
  const { summary, chainBefore, chainAfter, stallMs, readyToPivotMs, deleted, warnings } = result;
  return [
    `${paint('green', 'Done')}: ${summary}`,
    ...(chainBefore.length > 0 ? [`  before   ${chainWords(chainBefore)}`] : []),
    ...(chainAfter.length > 0 ? [`  after    ${chainWords(chainAfter)}`] : []),
    ...deleted.map((path) => `  deleted  ${path}`),
    ...(deleted.length > 0 ? [`  regained ${sizeWords(result.regainedBytes)}`] : []),
    ...(stallMs === null ? [] : [`  pause    the guest stood still for ${msWords(stallMs)}`]),
    ...(readyToPivotMs === null ? [] : [`  pivot    ${msWords(readyToPivotMs)} after READY`]),
    ...noteLines(warnings, paint),
  ];
}

export const noteLines = (warnings: readonly string[], paint: Screen['paint']): string[] =>
  warnings.map((warning) => `  ${paint('yellow', 'note')}     ${warning}`);
