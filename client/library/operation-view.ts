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
  WHOLE_VM,
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
  /**
   * The last heartbeat of a running copy, comparison or wipe; of all disks together while they have
   * operations of their own; null while there is none.
   */
  progress: Progress | null;
  /** The operations on the disks of a whole VM that run; none of any other operation. */
  parts: PartView[];
  /** Who does not answer and what is being retried, in sentences; empty when all is well. */
  troubles: string[];
}

/** How far the operation on one disk is. */
export interface PartView {
  disk: string;
  phase: string;
  progress: Progress | null;
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
  const parts = await partsOf(session, status);
  const own = activities.find((activity) => activity.progress)?.progress ?? null;
  return {
    id: description.workflowId,
    runId: description.runId,
    kind: description.type as KindName,
    state: stateOf(description.status.name),
    outcome: description.typedSearchAttributes.get(searchAttributes.outcome) ?? null,
    startedAt: description.startTime.toISOString(),
    endedAt: description.closeTime?.toISOString() ?? null,
    status,
    progress: own ?? progressOfAll(parts),
    parts,
    troubles: [trouble, ...activities.map((activity) => activity.trouble)].filter(
      (t) => t !== null,
    ),
  };
}

/** Those of an operation on a whole VM, whose status names its disks. */
async function partsOf(session: Session, status: OperationStatus | null): Promise<PartView[]> {
  if (status?.disk !== WHOLE_VM || !('disks' in status) || status.phase === 'finished') return [];
  const disks = status.disks.flatMap((one) =>
    typeof one !== 'string' && RUNNING.includes(one.state) ? [one.disk] : [],
  );
  const views = disks.map((disk) => partOf(session, status.vm, disk).catch(() => null));
  return (await Promise.all(views)).filter((view) => view !== null);
}

/** What a disk is called while it has an operation of its own. */
const RUNNING: readonly string[] = ['merging', 'copying', 'ready'];

async function partOf(session: Session, vm: string, disk: string): Promise<PartView | null> {
  const handle = session.client.workflow.getHandle(`${vm}/${disk}`);
  const [{ status }, description] = await Promise.all([
    queryStatus(session, handle),
    call(session, `looking at ${handle.workflowId}`, DESCRIBE_MS, () => handle.describe()),
  ]);
  if (status === null || description.status.name !== 'RUNNING') return null;
  const activities = await pendingActivities(session, description);
  const progress = activities.find((activity) => activity.progress)?.progress ?? null;
  return { disk, phase: status.phase, progress };
}

/** The sum of all, as long as the slowest takes. */
export function progressOfAll(parts: readonly PartView[]): Progress | null {
  const all = parts.flatMap(({ progress }) => progress ?? []);
  if (all.length === 0) return null;
  const sum = (of: (one: Progress) => number) => all.reduce((so, one) => so + of(one), 0);
  const [copiedBytes, totalBytes] = [sum((one) => one.copiedBytes), sum((one) => one.totalBytes)];
  const left = all.map(({ remainingSeconds }) => remainingSeconds);
  return {
    phase: 'copying',
    percent: totalBytes === 0 ? 0 : (100 * copiedBytes) / totalBytes,
    copiedBytes,
    totalBytes,
    rateBytesPerSecond: sum((one) => one.rateBytesPerSecond),
    remainingSeconds: left.some((one) => one === null) ? null : Math.max(...(left as number[])),
    note: null,
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

/** What an activity asks, when it has got no answer for long. */
const askingBeat = z.object({ asking: z.object({ what: z.string(), sinceMs: z.number() }) });
/** A wait for a job of QEMU that libvirt says nothing about. */
const silenceBeat = z.object({ phase: z.literal('waiting for libvirt'), note: z.string() });

type RawActivity = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number];

async function pendingActivities(session: Session, description: WorkflowExecutionDescription) {
  const converter = session.client.options.loadedDataConverter;
  return Promise.all(
    (description.raw.pendingActivities ?? []).map(async (activity) => {
      const payloads = activity.heartbeatDetails?.payloads ?? null;
      const [beat] = await decodeArrayFromPayloads(converter, payloads).catch(() => []);
      const parsed = progressBeat.safeParse(beat);
      const trouble = troubleOf(activity) ?? hangWords(beat);
      return { progress: parsed.success ? parsed.data : null, trouble };
    }),
  );
}

function hangWords(beat: unknown): string | null {
  const asking = askingBeat.safeParse(beat).data?.asking;
  if (!asking) return silenceBeat.safeParse(beat).data?.note ?? null;
  const { what, sinceMs } = asking;
  return `there is no answer to: ${what} (asked ${timeWords(new Date(sinceMs).toISOString())})`;
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
