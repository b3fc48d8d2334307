/** The handle of an operation: look at it, follow it, wait for its end, change it, cancel it. */
import {
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type WorkflowHandle,
} from '@temporalio/client';
import { bandwidthUpdate, decideUpdate } from '../../workflows/operation/contract.ts';
import type { KindName, OperationResult } from '../../workflows/kinds.ts';
import type { LiveMergeResult } from '../../workflows/merge/kind.ts';
import type { AnyKind, KindResult } from '../../workflows/operation/kind.ts';
import { BlockflowError } from './failure.ts';
import { followOperation } from './follow-operation.ts';
import { viewOperation, type OperationView } from './operation-view.ts';
import { call, isAway, isNotFound, type Session } from './session.ts';
import { AGENTS, cancelled, isCancelled, toBlockflowError } from './temporal-failure.ts';

/** Called with each look at a followed operation. */
export type ProgressListener = (view: OperationView) => void;

export interface FollowOptions {
  /** Milliseconds between two looks, 500 by default. */
  everyMs?: number;
  /** Stops following; the operation goes on. */
  signal?: AbortSignal;
}

export interface Operation<R extends OperationResult = LiveMergeResult> {
  /** `VM/DISK`, or `VM` for one on a whole VM; also the id of the workflow. */
  readonly id: string;
  readonly runId: string;
  readonly kind: KindName;
  /** True when the request found the operation already running. */
  readonly attached: boolean;
  /** One look. @throws BlockflowError `temporal-away`. */
  status(): Promise<OperationView>;
  /**
   * Waits for the end, also across restarts of the server.
   * @throws BlockflowError when it did not succeed.
   */
  result(): Promise<R>;
  /**
   * Looks again and again until the operation ends; a server that is unavailable is a trouble in
   * the view.
   */
  progress(options?: FollowOptions): AsyncIterable<OperationView>;
  /** `progress` for a listener, then `result`. */
  follow(listener: ProgressListener, options?: FollowOptions): Promise<R>;
  /** Asks for a cancel; follow it to see whether it came in time. */
  cancel(): Promise<void>;
  /** Limit of the running copy in bytes per second, 0 for none; returns the new limit in words. */
  setBandwidth(bytesPerSecond: number): Promise<string>;
  /** Ends the wait of a request with `waitForDecision`; returns what happens now in words. */
  decide(choice: 'pivot' | 'keep'): Promise<string>;
}

const CALL_MS = 5000;
const UPDATE_MS = 15_000;
const RETRY_MS = 1000;
const TRUTH_MS = 15_000;

interface Facts {
  runId: string;
  attached: boolean;
}

export function openOperation<K extends AnyKind>(
  session: Session,
  handle: WorkflowHandle,
  facts: Facts,
  kind: K,
): Operation<KindResult<K>> {
  type R = KindResult<K>;
  const id = handle.workflowId;
  const untilEnd = (signal: AbortSignal) =>
    session.connection.withAbortSignal(signal, () => operation.result());
  const operation: Operation<R> = {
    id,
    kind: kind.type as KindName,
    ...facts,
    status: () => viewOperation(session, handle).catch((error: unknown) => rethrow(id, error)),
    result: () => waitForEnd<R>(handle, kind, () => truthOf(operation)),
    progress: (options = {}) =>
      followOperation(() => operation.status(), untilEnd, session.address, options),
    async follow(listener, options) {
      for await (const view of operation.progress(options)) listener(view);
      options?.signal?.throwIfAborted();
      return operation.result();
    },
    async cancel() {
      await call(session, `cancelling ${id}`, CALL_MS, () => handle.cancel()).catch(
        (error: unknown) => rethrow(id, error),
      );
    },
    setBandwidth: (bytesPerSecond) =>
      update(session, `setting the limit of ${id}`, () =>
        handle.executeUpdate(bandwidthUpdate, { args: [bytesPerSecond] }),
      ),
    decide: (choice) =>
      update(session, `deciding ${id}: ${choice}`, () =>
        handle.executeUpdate(decideUpdate, { args: [choice] }),
      ),
  };
  return operation;
}

/**
 * What a cancelled operation has said last of what is left; null when no worker answers. A worker
 * that is busy is asked again: it has just handled the cancel, and no other call tells this.
 */
async function truthOf(
  operation: Pick<Operation<never>, 'status' | 'runId'>,
): Promise<string | null> {
  const deadline = Date.now() + TRUTH_MS;
  for (;;) {
    const view = await operation.status().catch(() => null);
    if (view && (view.runId !== operation.runId || view.state !== 'cancelled')) return null;
    if (view?.status) return view.status.note;
    if (Date.now() >= deadline) return null;
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

/** @param truth asked for once it was cancelled, which is all that Temporal tells */
async function waitForEnd<R>(
  handle: WorkflowHandle,
  kind: AnyKind,
  truth: () => Promise<string | null>,
): Promise<R> {
  const attempted = `following ${handle.workflowId}`;
  for (;;) {
    try {
      return kind.result().parse(await handle.result()) as R;
    } catch (error) {
      if (isNotFound(error)) throw noOperation(handle.workflowId);
      if (isCancelled(error)) throw cancelled(attempted, await truth(), error);
      if (!isAway(error)) throw toBlockflowError(error, attempted);
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

async function update(session: Session, attempted: string, send: () => Promise<string>) {
  try {
    return await session.connection.withDeadline(Date.now() + UPDATE_MS, send);
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) {
      const now = error.cause?.message ?? error.message;
      const next = 'See `blockflow status`';
      throw new BlockflowError('Refused', { code: 'not-now', attempted, now, next }, error);
    }
    if (isNotFound(error)) throw overAlready(attempted);
    if (isAway(error) || error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) {
      const now = `no worker answered in ${UPDATE_MS / 1000} s; the request may still take effect`;
      const details = { code: 'orchestrator-away', attempted, now, next: AGENTS } as const;
      throw new BlockflowError('Away', details, error);
    }
    throw toBlockflowError(error, attempted);
  }
}

function rethrow(id: string, error: unknown): never {
  throw isNotFound(error) ? noOperation(id) : error;
}

const overAlready = (attempted: string) =>
  new BlockflowError('Refused', {
    code: 'no-operation',
    attempted,
    now: 'no operation runs there',
    next: 'See `blockflow list` for what runs and what ran',
  });

export const noOperation = (id: string) => overAlready(`looking for an operation on ${id}`);
