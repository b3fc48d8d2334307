/**
 * Attempts that fail, as a worker sees all of its activities: an error of our code ends the
 * operation when it comes again, and what has been tried again for long is told to the workflow,
 * which tells people and has it tried again. No timer of a workflow is needed for that.
 */
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import type { Context } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { bugIn, stuck } from '../../workflows/operation/failures.ts';

/** What only our own code can have thrown. */
const OURS = new Set(['TypeError', 'RangeError', 'ReferenceError', 'AssertionError']);
const isOurs = (error: unknown): error is Error => error instanceof Error && OURS.has(error.name);

/** Attempts that end so: the first ones may have met a moment that passes, in a pivot say. */
const BUG_AFTER = 3;

/** Tasks whose end was never seen here, as another worker has done them. */
const MOST_KNOWN = 10_000;

/** @param afterMs how long an activity is tried again before that is told */
export function watchRetries(afterMs: number): ActivityInterceptorsFactory {
  const triedSince = new Map<string, number>();
  const remember = (task: string) => {
    if (!triedSince.has(task)) triedSince.set(task, Date.now());
    const [oldest] = triedSince.keys();
    if (triedSince.size > MOST_KNOWN && oldest !== undefined) triedSince.delete(oldest);
  };

  const judge = ({ info }: Context, task: string, error: unknown): unknown => {
    if (isOurs(error) && info.attempt >= BUG_AFTER) return bugIn(info.activityType, error);
    if (isFinal(error) || info.isLocal) return error;
    const sinceMs = triedSince.get(task) ?? Date.now();
    if (Date.now() - sinceMs < afterMs) return error;
    return stuck({ step: info.activityType, attempts: info.attempt, sinceMs }, error);
  };

  return (context) => {
    const { workflowExecution, activityId, attempt } = context.info;
    const task = `${workflowExecution?.runId ?? ''} ${activityId}`;
    return {
      inbound: {
        async execute(input, next) {
          // Also where the attempt before ended with its agent, or was never heard of again.
          if (attempt > 1) remember(task);
          const beganMs = Date.now();
          try {
            const result = await next(input);
            triedSince.delete(task);
            return result;
          } catch (error) {
            // One that was at work for so long has failed now, and not since it began.
            if (Date.now() - beganMs >= afterMs) triedSince.delete(task);
            remember(task);
            const told = judge(context, task, error);
            if (isFinal(told)) triedSince.delete(task);
            throw told;
          }
        },
      },
    };
  };
}

const isFinal = (error: unknown): boolean =>
  error instanceof CancelledFailure ||
  (error instanceof ApplicationFailure && error.nonRetryable === true);
