/**
 * Operations on the disks of a VM that one on the whole VM starts: each has the id that locks its
 * disk, a life of its own, and outlives the one that has started it. The same request finds one
 * that an earlier run has started, and adopts it.
 */
import {
  ChildWorkflowCancellationType,
  getExternalWorkflowHandle,
  setHandler,
  sleep,
  startChild,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { auditLog } from './agents.ts';
import type { AuditEvent } from './audit/audit.ts';
import { assertRate } from './steering/bandwidth.ts';
import { bandwidthSignal, bandwidthUpdate, WHOLE_VM } from './contract.ts';
import { failureDetails, refused, retry } from './failures.ts';
import type { AnyKind, KindRequest, KindResult } from './kind.ts';
import type { AnyOperation } from './operation.ts';
import { ownLife } from './own-life.ts';
import { requestPage } from './page.ts';
import { limitWords, oneLine } from './words.ts';
import { shell } from './names.ts';

/** One of them, as its kind and its request. */
export interface Part<K extends AnyKind> {
  kind: K;
  input: KindRequest<K> & { host: string; requestedBy: string };
}

/** The handle of a part that this run has started. */
export interface Started<K extends AnyKind> {
  result(): Promise<KindResult<K>>;
}

/** @returns null when an operation has the disk */
export async function startPart<K extends AnyKind>(
  op: AnyOperation,
  { kind, input }: Part<K>,
): Promise<Started<K> | null> {
  const words = kind.words(input);
  const type = kind.type as string;
  try {
    return await startChild<(input: unknown) => Promise<KindResult<K>>>(type, {
      ...ownLife(kind, input, {
        staticSummary: oneLine(`${words} on ${input.host}, for \`${op.words}\``),
        staticDetails: requestPage(kind, input),
      }),
      // What has become of each disk after a cancel is known when the last one has ended.
      cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    });
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return null;
    throw error;
  }
}

const idOf = ({ kind, input }: Part<AnyKind>): string => kind.id(input);

/** What the audit log says last of the disk; undefined when it knows nothing. */
export const lastEvent = async ({ kind, input }: Part<AnyKind>): Promise<AuditEvent | undefined> =>
  (await auditLog.observeEvents({ ...kind.subject(input), limit: 1 }))[0];

/** What the last event of an operation that runs may be. */
const RUNNING = new Set(['started', 'cancel-refused', 'stuck']);
export const isRunning = ({ kind }: Pick<AuditEvent, 'kind'>) => RUNNING.has(kind);

/**
 * @param alike requests that serve as well
 * @throws Refused `other-operation` when what has the disk is none of them
 */
export async function assertSame(
  op: AnyOperation,
  part: Part<AnyKind>,
  alike: readonly Part<AnyKind>[] = [],
): Promise<AuditEvent | undefined> {
  const last = await lastEvent(part);
  const isAsked = ({ kind, input }: Part<AnyKind>) => last?.request === kind.words(input);
  // What has ended meanwhile is met by the next start.
  if (!last || !isRunning(last) || [part, ...alike].some(isAsked)) return last;
  const id = idOf(part);
  throw refused('other-operation', {
    attempted: op.words,
    now: `another operation runs on ${id}: ${last.request}`,
    next:
      `Wait for it (${shell`blockflow status ${id}`}) or end it ` +
      `(${shell`blockflow cancel ${id}`})`,
  });
}

/**
 * For a `catch` of a plan: a job that an operation of ours on a disk of the VM has begun is no
 * stranger's. The audit log knows of one that was terminated as of one that runs.
 * @throws Refused `other-operation` for such a job, else what was caught
 */
export const unlessOurs =
  ({ vm, disk, attempted }: { vm: string; disk?: string; attempted: string }) =>
  async (error: unknown): Promise<never> => {
    if (failureDetails(error)?.details.code !== 'foreign-job') throw error;
    const filter = disk === undefined ? { vm } : { vm, disk };
    const last = new Map<string, AuditEvent>();
    for (const event of await auditLog.observeEvents({ ...filter, limit: 1000 })) {
      if (event.disk !== WHOLE_VM) last.set(event.disk, event);
    }
    const [other] = [...last.values()].filter(isRunning);
    if (!other) throw error;
    const id = other.workflowId;
    throw refused('other-operation', {
      attempted,
      now: `\`blockflow ${other.request}\` has disk ${other.disk}; nothing was done`,
      next:
        `Wait for it (${shell`blockflow status ${id}`}) or end it ` +
        `(${shell`blockflow cancel ${id}`}); ` +
        'where it runs no more, repeat it',
    });
  };

/** A part that another client has ended: `its merge was terminated`. */
export const endedFromOutside = (attempted: string, how: string, left: string) =>
  retry('job-lost', {
    attempted,
    now: `${how} from outside, and ${left}`,
    next: 'Repeat the request: it adopts what it finds and finishes it',
  });

/** Each look costs some events of history, and a part may take hours. */
export const FIRST_PAUSE_MS = 1000;
export const LONGEST_PAUSE_MS = 60_000;

/**
 * The part of an earlier run is ended like our own ones. Whether that came in time is in the audit
 * log; one that is past its point of no return has a minute to say how it has ended.
 */
export async function endOther(part: Part<AnyKind>): Promise<string> {
  const other = getExternalWorkflowHandle(idOf(part));
  await other.cancel().catch(() => undefined);
  for (let look = 1; ; look++) {
    await sleep(FIRST_PAUSE_MS);
    const kind = (await lastEvent(part))?.kind ?? 'started';
    if (!RUNNING.has(kind) || look === 60) return kind;
  }
}

interface Limited {
  /** Ids of those that run, by their disk. */
  running: () => ReadonlyMap<string, string>;
  /** What has the limit: `for each merge`. */
  each: string;
}

/** Registers the update of the limit: those that run are told, those to come begin with it. */
export function acceptLimitOfParts(op: AnyOperation, { running, each }: Limited): void {
  const set = async (bandwidthBytesPerSecond: number): Promise<string> => {
    op.tell({ bandwidthBytesPerSecond });
    const told = [...running()].map(async ([disk, id]) => {
      const handle = getExternalWorkflowHandle(id);
      // One that has just ended needs no limit.
      await handle.signal(bandwidthSignal, bandwidthBytesPerSecond).catch(() => undefined);
      return disk;
    });
    const disks = await Promise.all(told);
    const words = `${limitWords(bandwidthBytesPerSecond)} ${each}`;
    return disks.length === 0 ? `${words}, from the next one on` : `${words}: ${disks.join(', ')}`;
  };
  setHandler(bandwidthUpdate, set, {
    description: `Limit ${each} in bytes per second, 0 for none`,
    validator: assertRate,
  });
}
