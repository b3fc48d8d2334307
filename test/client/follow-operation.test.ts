/** Following an operation, and leaving it. */
import { expect, test } from '@jest/globals';
import { followOperation } from '../../client/library/follow-operation.ts';
import { viewOf } from '../support/scenes/client-views.ts';

/** The waiting for the end of an operation, which shows whether a caller still waits. */
function ending() {
  let signal: AbortSignal | undefined;
  const untilEnd = (given: AbortSignal) => {
    signal = given;
    return new Promise((_, reject) => {
      given.addEventListener('abort', () => reject(new Error('the caller has left')));
    });
  };
  return { untilEnd, isLeft: () => signal?.aborted };
}
const look = () => Promise.resolve(viewOf({ phase: 'copying' }));

test('who leaves early leaves no call behind', async () => {
  const { untilEnd, isLeft } = ending();
  for await (const { status } of followOperation(look, untilEnd, 'here:7233', { everyMs: 1 })) {
    expect(isLeft()).toBe(false);
    if (status?.phase === 'copying') break;
  }
  expect(isLeft()).toBe(true);
});

test('a signal ends the following, and leaves no call behind', async () => {
  const { untilEnd, isLeft } = ending();
  const stop = new AbortController();
  const following = followOperation(look, untilEnd, 'here:7233', { signal: stop.signal });
  await following.next();
  stop.abort();
  expect(await following.next()).toEqual({ done: true, value: undefined });
  expect(isLeft()).toBe(true);
});

test('nothing is asked before a caller follows', () => {
  const { untilEnd, isLeft } = ending();
  followOperation(look, untilEnd, 'here:7233', {});
  expect(isLeft()).toBeUndefined();
});
