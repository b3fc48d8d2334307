/** What a client does when its disk is taken: attach, be refused, or find that it is free again. */
import { expect, test } from '@jest/globals';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Session } from '../../client/library/session.ts';
import { startOperation, type Start } from '../../client/library/start-operation.ts';
import { viewOf } from '../support/scenes/client-views.ts';

const start: Start = {
  type: 'LiveMerge',
  id: 'web1/vda',
  input: {},
  words: 'merge web1 vda',
  key: 'this',
  vm: 'web1',
  disk: 'vda',
  host: 'h1',
  details: '',
};

/** A server whose disk is taken, and that shows these states of its operation one after another. */
function serverWith(request: string, ...states: ('RUNNING' | 'FAILED')[]): Session {
  const describe = () => {
    const name = states.shift() ?? 'FAILED';
    const facts = { workflowId: 'web1/vda', runId: 'r1', status: { name }, raw: {} };
    const staticSummary = () => Promise.resolve('merge web1 vda --shallow on h1');
    return Promise.resolve({ ...facts, memo: { request }, startTime: new Date(), staticSummary });
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
  const started = await startOperation(serverWith('this', 'RUNNING'), start);
  expect(started).toMatchObject({ runId: 'r1', attached: true });
});

test('another request is refused with what runs and how far it is', async () => {
  await expect(startOperation(serverWith('that', 'RUNNING', 'RUNNING'), start)).rejects.toThrow(
    'another operation runs on web1/vda: merge web1 vda --shallow on h1 (copying)',
  );
});

test.each([[['FAILED'] as const], [['RUNNING', 'FAILED'] as const]])(
  'an operation that ends while it is looked at (%j) refuses nothing',
  async (states) => {
    const started = await startOperation(serverWith('that', ...states), start);
    expect(started).toMatchObject({ runId: 'r2', attached: false });
  },
);
