/**
 * How workflows reach the agents: one way to call an activity, which also notices that an agent is
 * unavailable.
 */
import {
  ActivityCancellationType,
  ActivityFailure,
  CancelledFailure,
  condition,
  isCancellation,
  proxyActivities,
  proxyLocalActivities,
  sleep,
  TimeoutFailure,
  type ActivityOptions,
} from '@temporalio/workflow';
import { RetryState, TimeoutType } from '@temporalio/common';
import type { Activities, Agent, Table } from './activities.ts';
import type { AuditEvent, orchestratorActivities } from './audit/audit.ts';
import { hostQueue, spmQueue, type InPool } from './contract.ts';
import { cureWhileItWaits } from './cure.ts';
import { failureDetails } from './failures.ts';

/**
 * An agent that has not taken a task for this long is reported as unavailable; the task then waits
 * for it without a limit.
 */
const AWAY_AFTER = '10 seconds';
/** An agent that stays away for this long is a matter for a person. */
const STUCK_AFTER = '15 minutes';
/** Between tries that the workflow makes itself. */
const WAIT_MS = { first: 2000, most: 300_000 };
const longer = (waitMs: number) => Math.min(2 * waitMs, WAIT_MS.most);

const options: ActivityOptions = {
  // Agents beat every second, so a dead one is noticed long before its work could be over.
  heartbeatTimeout: '5 seconds',
  startToCloseTimeout: '3650 days',
  // The default is TRY_CANCEL, which would close the workflow while an activity still runs.
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: {
    initialInterval: '200 milliseconds',
    backoffCoefficient: 1.6,
    maximumInterval: '5 seconds',
  },
};

/** `await…` activities share one look, which is taken every 4 s for 100 operations. */
const WAIT: ActivityOptions = { heartbeatTimeout: '10 seconds' };
const isWait = (name: string) => name.startsWith('await');

/** What an operation hears of its agents. */
export interface AgentListener {
  /** Told when an agent is found unavailable, and (with null) when it answered again. */
  away(who: string | null): void;
  /** Told what has been tried for long without success, and (with null) that it is over. */
  stuck(step: string, why: string | null): void;
  /** Past its point of no return: also a step that is refused for good is tried again. */
  goesForward(): boolean;
}

/** @param name as people know the queue */
function connect<T extends Table>(queue: string, name: string, listener: AgentListener): Agent<T> {
  const at = (more: ActivityOptions) =>
    proxyActivities<Record<string, (input: unknown) => Promise<unknown>>>({
      ...options,
      taskQueue: queue,
      ...more,
    });
  const limit = { scheduleToStartTimeout: AWAY_AFTER };
  const work = at(limit);
  const wait = at({ ...limit, ...WAIT });
  const patient = [at({ scheduleToStartTimeout: STUCK_AFTER }), at({})];
  // The call itself may last for hours, and its start is no event: this one tells when the agent is
  // back.
  const untilPresent = async () => {
    const summary = `wait for the agent of ${name}`;
    const who = `the agent of ${name} does not answer`;
    listener.away(who);
    for (const presence of patient) {
      try {
        await presence['observePresence']?.executeWithOptions({ summary }, [{}]);
        break;
      } catch (error) {
        if (!isAway(error)) throw error;
        listener.stuck(summary, who);
      }
    }
    listener.stuck(summary, null);
    listener.away(null);
  };
  const call = async (step: string, input: unknown, summary: string): Promise<unknown> => {
    const prompt = isWait(step) ? wait : work;
    try {
      for (let waitMs = WAIT_MS.first; ;) {
        try {
          return await prompt[step]?.executeWithOptions({ summary }, [input]);
        } catch (error) {
          if (isCancelUnheard(error))
            throw new CancelledFailure(`cancelled: ${summary}`, [], error);
          const found = failureDetails(error)?.details;
          if (found?.code === 'stuck') listener.stuck(summary, found.now);
          else if (isAway(error)) await untilPresent();
          else if (found?.code === 'command-failed' && listener.goesForward()) {
            listener.stuck(summary, `${found.now}. ${cureWhileItWaits(found.now)}`);
            await sleep(waitMs);
            waitMs = longer(waitMs);
          } else throw error;
        }
      }
    } finally {
      listener.stuck(summary, null);
    }
  };
  // One function a name, made when it is asked for: the table itself stays outside the bundle.
  return new Proxy({} as Agent<T>, {
    get: (_, step) => (input: unknown, summary: string) => call(String(step), input, summary),
  });
}

/**
 * A cancelled activity whose agent died is not tried again: the server reports how its last attempt
 * ended.
 */
const isCancelUnheard = (error: unknown): error is ActivityFailure =>
  error instanceof ActivityFailure && error.retryState === RetryState.CANCEL_REQUESTED;

function isAway(error: unknown): boolean {
  return (
    error instanceof ActivityFailure &&
    error.cause instanceof TimeoutFailure &&
    error.cause.timeoutType === TimeoutType.SCHEDULE_TO_START
  );
}

/** The agent of a hypervisor. */
export const hostAgent = <T extends Table>(host: string, listener: AgentListener): Agent<T> =>
  connect(hostQueue(host), hostQueue(host), listener);

/** The agent that may change a pool. */
export const spmAgent = <T extends Table>(place: InPool, listener: AgentListener): Agent<T> =>
  connect(spmQueue(place), `spm-${place.pool}`, listener);

/** For questions, whose progress no client follows: they wait for an unavailable agent. */
export const unheard: AgentListener = {
  away: () => undefined,
  stuck: () => undefined,
  goesForward: () => false,
};

/** The audit log is the orchestrator's own; a local activity costs one event of history. */
export const auditLog = proxyLocalActivities<Activities<typeof orchestratorActivities>>({
  startToCloseTimeout: '30 seconds',
  summary: 'write the audit log',
});

/** The workflow itself waits and tells; while a local activity is repeated it answers nothing. */
const promptLog = proxyLocalActivities<Activities<typeof orchestratorActivities>>({
  startToCloseTimeout: '30 seconds',
  summary: 'write the audit log',
  retry: { maximumAttempts: 2, initialInterval: '200 milliseconds' },
});

/**
 * Appends an event to the audit log. While the log cannot be written, `away` is told why.
 * @param isUnwanted true when the operation must not wait for the event, which is lost then
 */
export async function recordEvent(
  event: AuditEvent,
  away: AgentListener['away'],
  isUnwanted: () => boolean,
): Promise<void> {
  for (let waitMs = WAIT_MS.first; ; waitMs = longer(waitMs)) {
    try {
      await promptLog.ensureEventRecorded(event);
      if (waitMs > WAIT_MS.first) away(null);
      return;
    } catch (error) {
      if (isCancellation(error) || failureDetails(error)) throw error;
      const { cause } = error as { cause?: Error };
      away(`the audit log cannot be written: ${cause?.message ?? String(error)}`);
    }
    if (await condition(isUnwanted, waitMs)) return;
  }
}
