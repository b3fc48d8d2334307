/** What a finished operation on an image has done. Pure. */
import type { OperationResult } from '../../library/operation.ts';
import type { Screen } from '../screen.ts';
import { chainWords, resultLines } from './merge-result.ts';

/** The end of an operation of any kind. */
export function endLines(result: OperationResult, paint: Screen['paint']): string[] {
  if ('committedBytes' in result) return resultLines(result, paint);
  const done = `${paint('green', 'Done')}: ${result.summary}`;
  if ('deleted' in result) {
    return [
      done,
      ...result.deleted.map((path) => `  deleted  ${path}`),
      ...notes(result.warnings, paint),
    ];
  }
  return [
    done,
    `  before   ${chainWords(result.chainBefore)}`,
    ...result.chainAfter.map((path) => `  copy     ${path}`),
    ...(result.removal === null ? [] : removalRows(result.removal)),
    ...notes(result.warnings, paint),
  ];
}

const notes = (warnings: readonly string[], paint: Screen['paint']) =>
  warnings.map((warning) => `  ${paint('yellow', 'note')}     ${warning}`);

/** Its failures are events of its own, not of the VM. */
const removalRows = (id: string) => [
  `  deletion \`blockflow status ${id}\``,
  `  events   \`blockflow events ${id}\``,
];
