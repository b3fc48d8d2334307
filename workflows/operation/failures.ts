/**
 * The closed set of failures, named by what happens next. Every message says what was attempted, on
 * what, what is true now and what to do next. Do not match on message text: `type` and
 * `details[0].code` are the contract.
 */
import { ApplicationFailure } from '@temporalio/common';
import type { FailureCode, HoldCode, RefusalCode, RetryCode } from './failure-codes.ts';

export type { FailureCode, HoldCode, RefusalCode, RetryCode };

/**
 * Refused: nothing was done. Retry: not yet, the same request can finish it. Hold: a person must
 * choose.
 */
export type FailureType = 'Refused' | 'Retry' | 'LeaseLost' | 'NoSpace' | 'Hold' | 'Bug';

export interface FailureDetails {
  code: FailureCode;
  /** What was tried, and on what. */
  attempted: string;
  /** What is true now. */
  now: string;
  /** What the reader can do next. */
  next: string;
}

/** Those that an activity's retry policy tries again. */
const RETRIED: readonly FailureType[] = ['Retry', 'NoSpace', 'LeaseLost'];

function failure(
  type: FailureType,
  details: FailureDetails,
  more: { cause?: unknown; nonRetryable?: boolean } = {},
): ApplicationFailure {
  const { cause, nonRetryable = !RETRIED.includes(type) } = more;
  return ApplicationFailure.create({
    message: `${details.attempted}: ${details.now}. ${details.next}`,
    type,
    nonRetryable,
    details: [details],
    ...(cause instanceof Error ? { cause } : {}),
  });
}

type Words = Omit<FailureDetails, 'code'>;

/** Nothing was done, and asking again changes nothing until the named thing is changed. */
export const refused = (code: RefusalCode, words: Words) => failure('Refused', { code, ...words });
/** Not yet: the activity's retry policy, or the same request again, can finish the work. */
export const retry = (code: RetryCode, words: Words, cause?: unknown) =>
  failure('Retry', { code, ...words }, { cause });
/**
 * Not repeated as an attempt: the storage failed, and what it holds now is not to be trusted; or a
 * tool that must be fixed first.
 */
export const givenUp = (words: Words, cause?: unknown) =>
  failure('Retry', { code: 'command-failed', ...words }, { cause, nonRetryable: true });
/** Not repeated as an attempt: a VM that was undefined comes back by a person only. */
export const vmGone = (attempted: string, vm: string, truth: string) =>
  failure(
    'Retry',
    {
      code: 'vm-gone',
      attempted,
      now: `libvirt has no VM ${vm} any more; ${truth}`,
      next: 'Define it again with the disk that it had, then repeat the request',
    },
    { nonRetryable: true },
  );
/** Not repeated as an attempt: the workflow waits for the pool, and says so. */
export const poolAway = (words: Words) =>
  failure('Retry', { code: 'pool-away', ...words }, { nonRetryable: true });
/** Unsafe to choose: nothing more is touched until a person has looked. */
export const hold = (code: HoldCode, words: Words) => failure('Hold', { code, ...words });
/** Waits: there is no space, and there may be later. */
export const noSpace = (words: Words) => failure('NoSpace', { code: 'no-space', ...words });
/** The agent may not change the pool any more; the one that may will do it. */
export const leaseLost = (words: Words) => failure('LeaseLost', { code: 'lease-lost', ...words });
/** An assertion of ours is false. The activity fails, never the guest. */
export const bug = (now: string) =>
  failure('Bug', {
    code: 'bug',
    attempted: 'checking an assertion',
    now,
    next: 'Please report this with the workflow history; nothing was touched after it',
  });

/** An error that only our own code can have made, in an activity. */
export const bugIn = (step: string, error: Error) =>
  failure(
    'Bug',
    {
      code: 'bug',
      attempted: `step ${step}`,
      now: `blockflow made an error (${error.name}: ${error.message}), and does not repeat it`,
      next: 'Please report this with the workflow history',
    },
    { cause: error },
  );

interface Tries {
  step: string;
  attempts: number;
  sinceMs: number;
}
/** Ends a row of attempts: the workflow tells people, and begins another. */
export const stuck = ({ step, attempts, sinceMs }: Tries, cause: unknown) =>
  failure(
    'Retry',
    {
      code: 'stuck',
      attempted: `step ${step}`,
      now:
        `it has failed since ${new Date(sinceMs).toISOString()}, ${attempts} times, ` +
        `the last time with: ${cause instanceof Error ? cause.message : String(cause)}`,
      next: 'Fix what that says: blockflow tries it again, and goes on by itself',
    },
    { cause, nonRetryable: true },
  );

/** The first of our failures in a chain of causes, or null. */
export function ownFailure(error: unknown): ApplicationFailure | null {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (e instanceof ApplicationFailure && e.details?.[0] && e.type) return e;
  }
  return null;
}

/** Its details, or null. */
export function failureDetails(
  error: unknown,
): { type: FailureType; details: FailureDetails } | null {
  const failure = ownFailure(error);
  return (
    failure && {
      type: failure.type as FailureType,
      details: failure.details?.[0] as FailureDetails,
    }
  );
}

/** Which part of an operation it was that failed. */
export type Part = 'plan' | 'copy' | 'verify' | 'switch' | 'delete source' | 'delete target';

/**
 * The failure of one part: which, and what is true now that everything before it was undone or is
 * kept.
 */
export function partFailure(part: Part, cause: unknown, now: string): ApplicationFailure {
  const found = failureDetails(cause);
  const said = cause instanceof Error ? rootMessage(cause) : String(cause);
  const details = {
    code: found?.details.code ?? 'command-failed',
    attempted: `${part}: ${found?.details.attempted ?? 'a step failed'}`,
    now: `${found?.details.now ?? said}; ${now}`,
    next: found?.details.next ?? 'Repeat the request once the cause is fixed',
    part,
  };
  return ApplicationFailure.create({
    message: `${details.attempted}: ${details.now}. ${details.next}`,
    type: found?.type ?? 'Retry',
    nonRetryable: true,
    details: [details],
    ...(cause instanceof Error ? { cause } : {}),
  });
}

function rootMessage(error: Error): string {
  return error.cause instanceof Error ? rootMessage(error.cause) : error.message;
}
