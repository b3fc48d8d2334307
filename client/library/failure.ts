/**
 * How a client tells a failure: what was tried, what is true now, what to do next. Light: no
 * Temporal code.
 */
import type { FailureCode, FailureType } from '../../workflows/operation/failures.ts';

/** Types that only a client meets, besides those of the workflows. */
export type ClientFailureType = FailureType | 'Usage' | 'Cancelled' | 'Terminated' | 'Away';

export type ClientFailureCode =
  | FailureCode
  | 'usage'
  | 'cancelled'
  | 'terminated'
  | 'no-operation'
  | 'too-late'
  | 'not-now'
  | 'temporal-away'
  | 'orchestrator-away'
  | 'agent-away'
  | 'already-up'
  | 'lacks-rights'
  | 'metrics-address'
  | 'no-own-network'
  | 'no-web-ui'
  | 'no-service'
  | 'unexpected';

export interface ClientFailureDetails {
  code: ClientFailureCode;
  attempted: string;
  now: string;
  next: string;
}

/**
 * Every error of the client library. `type` and `details.code` are the contract, the message is for
 * people.
 */
export class BlockflowError extends Error {
  override readonly name = 'BlockflowError';
  readonly type: ClientFailureType;
  readonly details: ClientFailureDetails;

  constructor(type: ClientFailureType, details: ClientFailureDetails, cause?: unknown) {
    super(`${details.attempted}: ${details.now}. ${details.next}`, { cause });
    this.type = type;
    this.details = details;
  }
}

/** The request cannot be understood. */
export const usage = (attempted: string, now: string, next: string) =>
  new BlockflowError('Usage', { code: 'usage', attempted, now, next });

export const exitCodes = {
  done: 0,
  stuck: 1,
  usage: 2,
  refused: 3,
  failed: 4,
  cancelled: 5,
} as const;

/** The exit code of a command that ended with this error. A Hold is 4: a person must look. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof BlockflowError)) return exitCodes.failed;
  if (error.type === 'Usage') return exitCodes.usage;
  if (error.type === 'Refused') return exitCodes.refused;
  return error.type === 'Cancelled' ? exitCodes.cancelled : exitCodes.failed;
}
