import type { AuditEvent } from '../../../workflows/operation/audit/audit.ts';
import type { Screen, Style } from '../screen.ts';
import { chainWords } from './merge-result.ts';
import { timeWords } from '../../library/times.ts';

const STYLES: Partial<Record<AuditEvent['kind'], Style>> = {
  merged: 'green',
  kept: 'green',
  'already-done': 'green',
  cancelled: 'yellow',
  'cancel-refused': 'yellow',
  stuck: 'red',
  failed: 'red',
  refused: 'red',
};

/**
 * One event of the audit log: when, what, on which disk, by whom, why, and how the chain changed.
 */
export function eventLines(event: AuditEvent, paint: Screen['paint']): string[] {
  const { time, kind, vm, disk, host, who, reason, before, after } = event;
  const style = STYLES[kind];
  const word = kind.padEnd(14);
  const changed = after.length > 0 && before.join() !== after.join();
  return [
    `${timeWords(time)}  ${style ? paint(style, word) : word}  ${vm}/${disk} on ${host}, ${who}`,
    `    ${reason.replaceAll('\n', '\n    ')}`,
    ...(changed && before.length > 0 ? [`    ${chainWords(before)}  →  ${afterWords(event)}`] : []),
  ];
}

/** A copy mostly has the name of its source. */
const afterWords = ({ before, after }: AuditEvent) =>
  chainWords(before) === chainWords(after) ? after.join(' ← ') : chainWords(after);
