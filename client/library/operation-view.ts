/**
 * What can be seen of an operation from outside: its own status joined with the heartbeats of its
 * activities.
 */
import type { WorkflowExecutionDescription, WorkflowHandle } from '@temporalio/client';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { z } from 'zod';
import {
  ORCHESTRATOR_QUEUE,
  searchAttributes,
  type Progress,
} from '../../workflows/operation/contract.ts';
import { statusQuery, type KindName, type OperationStatus } from '../../workflows/kinds.ts';
import { lastPoll } from './pollers.ts';
import { timeWords } from './times.ts';
import { call, type Session } from './session.ts';

export type OperationState = 'running' | 'done' | 'failed' | 'cancelled' | 'terminated';

export interface OperationView {
  id: string;
  runId: string;
  kind: KindName;
  state: OperationState;
  /** How it ended (merged, kept, refused ...), null while it runs. */
  outcome: string | null;
  /** ISO 8601. */
  startedAt: string;
  endedAt: string | null;
  /** Null when the orchestrator did not answer. */
  status: OperationStatus | null;
  /** The last heartbeat of a running copy, comparison or wipe; null while there is none. */
  progress: Progress | null;
  /** Who does not answer and what is being retried, in sentences; empty when all is well. */
  troubles: string[];
}

const DESCRIBE_MS = 5000;
const QUERY_MS = 2000;

/** @throws BlockflowError `temporal-away`; WorkflowNotFoundError. */
export async function viewOperation(
  session: Session,
  handle: WorkflowHandle,
): Promise<OperationView> {
  const asking = queryStatus(session, handle);
  const description = await call(session, `looking at ${handle.workflowId}`, DESCRIBE_MS, () =>
    handle.describe(),
  );
  const { status, trouble } = await asking;
  const activities = await pendingActivities(session, description);
  return {
    id: description.workflowId,
    runId: description.runId,
    kind: description.type as KindName,
    state: stateOf(description.status.name),
    outcome: description.typedSearchAttributes.get(searchAttributes.outcome) ?? null,
    startedAt: description.startTime.toISOString(),
    endedAt: description.closeTime?.toISOString() ?? null,
    status,
    progress: activities.find((activity) => activity.progress)?.progress ?? null,
    troubles: [trouble, ...activities.map((activity) => activity.trouble)].filter(
      (t) => t !== null,
    ),
  };
}

/** Never throws: an orchestrator that is unavailable is an answer. */
async function queryStatus(
  session: Session,
  handle: WorkflowHandle,
): Promise<{ status: OperationStatus | null; trouble: string | null }> {
  try {
    const status = await session.connection.withDeadline(Date.now() + QUERY_MS, () =>
      handle.query(statusQuery),
    );
    return { status, trouble: null };
  } catch {
    const seen = await lastPoll(session, ORCHESTRATOR_QUEUE, 'workflow').catch(() => null);
    const since = seen
      ? `last seen ${timeWords(seen.toISOString())}`
      : 'the Temporal server knows of no poll';
    return { status: null, trouble: `the orchestrator does not answer (${since})` };
  }
}

export function stateOf(name: WorkflowExecutionDescription['status']['name']): OperationState {
  if (name === 'RUNNING' || name === 'PAUSED' || name === 'CONTINUED_AS_NEW') return 'running';
  if (name === 'COMPLETED') return 'done';
  return name === 'CANCELLED' ? 'cancelled' : name === 'TERMINATED' ? 'terminated' : 'failed';
}

/** A beat says more only while something is copied, compared or wiped. */
const progressBeat = z.object({
  phase: z.string(),
  percent: z.number(),
  copiedBytes: z.number(),
  totalBytes: z.number(),
  rateBytesPerSecond: z.number(),
  remainingSeconds: z.number().nullable(),
  note: z.string().nullable(),
});

type RawActivity = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number];

async function pendingActivities(session: Session, description: WorkflowExecutionDescription) {
  const converter = session.client.options.loadedDataConverter;
  return Promise.all(
    (description.raw.pendingActivities ?? []).map(async (activity) => {
      const payloads = activity.heartbeatDetails?.payloads ?? null;
      const [beat] = await decodeArrayFromPayloads(converter, payloads).catch(() => []);
      const parsed = progressBeat.safeParse(beat);
      return { progress: parsed.success ? parsed.data : null, trouble: troubleOf(activity) };
    }),
  );
}

/** PENDING_ACTIVITY_STATE_SCHEDULED: no agent has taken it. */
const SCHEDULED = 1;

function troubleOf(activity: RawActivity): string | null {
  const attempt = activity.attempt ?? 1;
  const name = activity.activityType?.name ?? 'an activity';
  if (attempt <= 1) return null;
  const failure = activity.lastFailure;
  if (failure?.timeoutFailureInfo) {
    const where = Number(activity.state) === SCHEDULED ? 'waits for it' : 'runs again';
    return `the agent stopped answering during ${name}; attempt ${attempt} ${where}`;
  }
  return `${name} is tried again (attempt ${attempt}): ${failure?.message ?? 'no reason told'}`;
}
