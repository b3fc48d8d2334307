/** The life of every operation, from its first audit event to its last. */
import {
  allHandlersFinished,
  condition,
  ContinueAsNew,
  isCancellation,
} from '@temporalio/workflow';
import { failureDetails, ownFailure, partFailure } from './failures.ts';
import type { AnyKind, CommonResult, KindResult } from './kind.ts';
import { openOperation, type AnyOperation, type Operation } from './operation.ts';
import { forwardOnly } from './point-of-no-return.ts';
import { readRequest } from './request/request.ts';

/**
 * Reads the request, opens the operation, runs its body, and records how it ended.
 * @param prepare registers what the operation is told while it runs, before the first event is
 * recorded: Temporal refuses an update without a handler. It returns all steps; what those throw is
 * told as the failure of the part that it was in
 */
export async function run<K extends AnyKind>(
  kind: K,
  request: unknown,
  prepare: (op: Operation<K>) => () => Promise<KindResult<K> & CommonResult>,
): Promise<KindResult<K>> {
  const op = openOperation(kind, readRequest(kind, request));
  const body = prepare(op);
  try {
    await op.record('started', op.words);
    const result = await body();
    await op.point.told();
    const { outcome, summary, warnings, chainAfter }: CommonResult = result;
    await forwardOnly(() => op.record(outcome, summary, chainAfter));
    const news = warnings.filter((warning) => !summary.includes(warning));
    op.finish([summary, ...news].join('; '), outcome);
    return result;
  } catch (error) {
    if (error instanceof ContinueAsNew) throw error;
    throw await forwardOnly(() => recordFailure(op, error));
  } finally {
    await everyUpdateAnswered();
  }
}

/** @returns what the workflow throws: the Web UI shows the first message of a chain */
async function recordFailure(op: AnyOperation, error: unknown): Promise<unknown> {
  if (isCancellation(error)) {
    await op.record('cancelled', `cancelled: ${op.truth}`, op.status.chainBefore);
    op.finish(`cancelled: ${op.truth}`, 'cancelled');
    return error;
  }
  const part = op.part === 'plan' ? null : op.part;
  const told = part ? partFailure(part, error, op.truth) : (ownFailure(error) ?? error);
  const kind = failureDetails(told)?.type === 'Refused' ? 'refused' : 'failed';
  const reason = told instanceof Error ? told.message : String(told);
  await op.record(kind, reason, op.status.chainBefore);
  op.finish(reason, kind);
  return told;
}

/**
 * Resolves when everybody who sent an update has its answer: Temporal fails an update that its
 * workflow does not wait for. It cannot last: without a job there is nothing to limit.
 */
const everyUpdateAnswered = () => forwardOnly(() => condition(allHandlersFinished));
