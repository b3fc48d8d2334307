/** A failure for a person (what was tried, what is true, what next) and for a program. */
import { BlockflowError, exitCodeOf, type ClientFailureDetails } from '../../library/failure.ts';
import type { Screen } from '../screen.ts';

/** The document that `--json` prints for a command that did not succeed. */
export interface FailureDocument extends ClientFailureDetails {
  outcome: 'failed' | 'refused' | 'cancelled';
  type: string;
  exitCode: number;
}

/** Any error: those that are not ours are told as they are. */
export function failureDocument(error: unknown): FailureDocument {
  const known = error instanceof BlockflowError ? error : unexpected(error);
  const outcome =
    known.type === 'Refused' || known.type === 'Usage'
      ? 'refused'
      : known.type === 'Cancelled'
        ? 'cancelled'
        : 'failed';
  const { code, attempted, now, next } = known.details;
  return { outcome, type: known.type, code, attempted, now, next, exitCode: exitCodeOf(known) };
}

function unexpected(error: unknown): BlockflowError {
  const now = error instanceof Error ? error.message : String(error);
  const next = 'Look with `blockflow doctor`; BLOCKFLOW_DEBUG=1 shows where it comes from';
  const details = { code: 'unexpected', attempted: 'running the command', now, next } as const;
  return new BlockflowError('Bug', details, error);
}

const HEADINGS: Record<string, string> = {
  Refused: 'Refused, nothing was done',
  Usage: 'Not understood',
  Cancelled: 'Cancelled',
  Terminated: 'Terminated',
  Hold: 'On hold, a person must look',
  Away: 'No answer',
  NoSpace: 'No space',
};

export function failureLines(error: unknown, paint: Screen['paint']): string[] {
  const { type, code, attempted, now, next } = failureDocument(error);
  const heading = HEADINGS[type] ?? 'Failed';
  return [
    paint(type === 'Cancelled' ? 'yellow' : 'red', `${heading} (${code})`),
    `  tried  ${indent(attempted)}`,
    `  now    ${indent(now)}`,
    `  next   ${indent(next)}`,
  ];
}

const indent = (text: string) => text.trim().replaceAll('\n', '\n         ');
