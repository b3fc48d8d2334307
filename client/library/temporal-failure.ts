/** Turns how Temporal reports the end of a workflow into the failures of blockflow. */
import {
  CancelledFailure,
  TerminatedFailure,
  TimeoutFailure,
  WorkflowFailedError,
} from '@temporalio/client';
import { failureDetails } from '../../workflows/operation/failures.ts';
import { BlockflowError, type ClientFailureType } from './failure.ts';

/** @param attempted what the client asked for, for ends that do not tell it themselves. */
export function toBlockflowError(error: unknown, attempted: string): BlockflowError {
  if (error instanceof BlockflowError) return error;
  const ours = failureDetails(error);
  if (ours) return new BlockflowError(ours.type, ours.details, error);
  if (isCancelled(error)) return cancelled(attempted, null, error);
  const cause = error instanceof WorkflowFailedError ? error.cause : error;
  if (cause instanceof TerminatedFailure) return terminated(attempted, error);
  if (cause instanceof TimeoutFailure) {
    return failure('Away', 'agent-away', attempted, 'no agent answered in time', AGENTS, error);
  }
  const now = firstLine(deepest(error));
  return failure('Bug', 'unexpected', attempted, now, 'See the workflow in the Web UI', error);
}

export const AGENTS = 'Start it with `blockflow up` or `blockflow worker`; see `blockflow doctor`';

const failure = (
  type: ClientFailureType,
  code: BlockflowError['details']['code'],
  attempted: string,
  now: string,
  next: string,
  cause: unknown,
) => new BlockflowError(type, { code, attempted, now, next }, cause);

export const isCancelled = (error: unknown) =>
  error instanceof WorkflowFailedError && error.cause instanceof CancelledFailure;

/** @param truth in the operation's own words, null when it reported none */
export const cancelled = (attempted: string, truth: string | null, cause: unknown) =>
  failure(
    'Cancelled',
    'cancelled',
    attempted,
    truth ?? 'cancelled; the orchestrator does not answer what is left (`blockflow events` tells)',
    'Repeat the request to do the work after all',
    cause,
  );

const terminated = (attempted: string, cause: unknown) =>
  failure(
    'Terminated',
    'terminated',
    attempted,
    'the workflow was terminated from outside; its block job may still run',
    'Repeat the request: it adopts what it finds and finishes it',
    cause,
  );

function deepest(error: unknown): string {
  let words = String(error);
  for (let e = error; e instanceof Error; e = e.cause) words = e.message || words;
  return words;
}

const firstLine = (text: string) => text.split('\n')[0]?.replace(/\.$/, '') ?? text;
