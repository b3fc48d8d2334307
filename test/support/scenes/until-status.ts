/** Waiting for what an operation says of itself. */
import type { WorkflowHandle } from '@temporalio/client';
import { statusQuery, type OperationStatus } from '../../../workflows/kinds.ts';
import { waitUntil } from '../wait-until.ts';

type Asked = Pick<WorkflowHandle, 'query' | 'describe'>;

/**
 * Waits until the operation's own status satisfies `look`; the orchestrator must run. A wait in
 * vain tells what the server knows of each of its activities.
 */
export function untilStatus(
  operation: Asked,
  what: string,
  look: (status: OperationStatus) => boolean,
  timeoutMs = 60_000,
): Promise<OperationStatus> {
  let last: OperationStatus | undefined;
  return waitUntil(
    async () => `${what}; the status is ${JSON.stringify(last)}, ${await pending(operation)}`,
    async () => {
      last = await operation.query(statusQuery);
      return look(last) && last;
    },
    { timeoutMs, intervalMs: 50 },
  );
}

async function pending(operation: Asked): Promise<string> {
  const { raw } = await operation.describe();
  const activities = raw.pendingActivities ?? [];
  const seen = activities.map(({ activityType, state, attempt, ...activity }) => ({
    name: activityType?.name,
    state,
    attempt,
    scheduled: activity.scheduledTime?.seconds?.toString(),
    started: activity.lastStartedTime?.seconds?.toString(),
    worker: activity.lastWorkerIdentity,
    failure: activity.lastFailure?.message,
    beat: activity.heartbeatDetails?.payloads?.map(({ data }) =>
      Buffer.from(data ?? []).toString(),
    ),
  }));
  return `pending are ${JSON.stringify([...seen, raw.pendingWorkflowTask ?? null])}`;
}
