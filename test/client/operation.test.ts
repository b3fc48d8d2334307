/** What a client is told at the end of an operation. */
import { expect, test } from '@jest/globals';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { CancelledFailure, RetryState, TypedSearchAttributes } from '@temporalio/common';
import { openOperation } from '../../client/library/operation.ts';
import type { Session } from '../../client/library/session.ts';
import { kinds } from '../../workflows/kinds.ts';
import { viewOf } from '../support/scenes/client-views.ts';

const connection = { withDeadline: <T>(_: number, fn: () => Promise<T>) => fn() };
const session = { client: { options: {} }, connection } as unknown as Session;
const facts = { runId: 'r1', attached: false };

/** A cancelled operation whose orchestrator gives these answers; null where it is too busy. */
function cancelledWith(...notes: (string | null)[]) {
  const cause = new CancelledFailure('cancelled');
  const cancelled = new WorkflowFailedError('failed', cause, RetryState.NON_RETRYABLE_FAILURE);
  const description = {
    ...{ workflowId: 'web1/vda', runId: 'r1', type: 'LiveMerge', raw: {} },
    ...{
      status: { name: 'CANCELLED' },
      startTime: new Date(),
      typedSearchAttributes: new TypedSearchAttributes(),
    },
  };
  return {
    workflowId: 'web1/vda',
    result: () => Promise.reject(cancelled),
    describe: () => Promise.resolve(description),
    query() {
      const note = notes.shift() ?? null;
      if (note === null) return Promise.reject(new Error('busy'));
      return Promise.resolve(viewOf({ phase: 'finished', note }).status);
    },
  } as unknown as WorkflowHandle;
}

test('a cancel tells what is left, also when the orchestrator answers late', async () => {
  const handle = cancelledWith(null, 'cancelled: the chain is unchanged');
  const operation = openOperation(session, handle, facts, kinds.LiveMerge);
  await expect(operation.result()).rejects.toMatchObject({
    details: { code: 'cancelled', now: 'cancelled: the chain is unchanged' },
  });
});
