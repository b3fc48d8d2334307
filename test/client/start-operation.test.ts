/** What a client does when its disk is taken: attach, be refused, or find that it is free again. */
import { expect, test } from '@jest/globals';
import { TypedSearchAttributes } from '@temporalio/common';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Session } from '../../client/library/session.ts';
import { startOperation } from '../../client/library/start-operation.ts';
import { kinds } from '../../workflows/kinds.ts';
import { viewOf } from '../support/scenes/client-views.ts';

const request = { vm: 'web1', disk: 'vda', host: 'h1', requestedBy: 'me' };
/** As the memo of a running workflow names its request. */
const keyOf = (words: string) =>
  JSON.stringify({ request: words, host: 'h1', onVmStop: 'fail', waitForDecision: false });
const start = (session: Session) => startOperation(session, kinds.LiveMerge, request);

/** A server whose disk is taken, and that shows these states of its operation one after another. */
function serverWith(request: string, ...states: ('RUNNING' | 'FAILED')[]): Session {
  const describe = () => {
    const name = states.shift() ?? 'FAILED';
    const facts = { workflowId: 'web1/vda', runId: 'r1', status: { name }, raw: {} };
    const staticSummary = () => Promise.resolve('merge web1 vda --shallow on h1');
    return Promise.resolve({
      ...facts,
      memo: { request: keyOf(request) },
      startTime: new Date(),
      typedSearchAttributes: new TypedSearchAttributes(),
      staticSummary,
    });
  };
  const handle = { describe, query: () => Promise.resolve(viewOf({ phase: 'copying' }).status) };
  const begin = () =>
    states.length > 0
      ? Promise.reject(new WorkflowExecutionAlreadyStartedError('taken', 'web1/vda', 'LiveMerge'))
      : Promise.resolve({ firstExecutionRunId: 'r2' });
  const workflow = { start: begin, getHandle: () => handle };
  const connection = { withDeadline: <T>(_: number, fn: () => Promise<T>) => fn() };
  return { client: { workflow, options: {} }, connection } as unknown as Session;
}

test('the same request is attached to', async () => {
  const started = await start(serverWith('merge web1 vda', 'RUNNING'));
  expect(started).toMatchObject({ runId: 'r1', attached: true });
});

test.each([{ maxPauseMs: 1000 }, { converge: true }])(
  'of a merge that runs without %j another request is refused',
  async (options) => {
    const session = serverWith('merge web1 vda', 'RUNNING', 'RUNNING');
    const started = startOperation(session, kinds.LiveMerge, { ...request, ...options });
    await expect(started).rejects.toThrow('another operation runs on web1/vda');
  },
);

test('another request is refused with what runs and how far it is', async () => {
  await expect(start(serverWith('merge web1 vda --shallow', 'RUNNING', 'RUNNING'))).rejects.toThrow(
    'another operation runs on web1/vda: merge web1 vda --shallow on h1 (copying)',
  );
});

test.each([[['FAILED'] as const], [['RUNNING', 'FAILED'] as const]])(
  'an operation that ends while it is looked at (%j) refuses nothing',
  async (states) => {
    const started = await start(serverWith('merge web1 vda --shallow', ...states));
    expect(started).toMatchObject({ runId: 'r2', attached: false });
  },
);
