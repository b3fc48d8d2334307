/** Since when an activity counts as tried without success. */
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import type { Context } from '@temporalio/activity';
import { failureDetails } from '../../workflows/operation/failures.ts';
import { watchRetries } from '../../worker/roles/retries.ts';

const AFTER_MS = 1000;
let nowMs = 0;
beforeEach(() => {
  nowMs = 0;
  jest.spyOn(Date, 'now').mockImplementation(() => nowMs);
});
afterEach(() => void jest.restoreAllMocks());

/** Attempts that fail: the number of each, when it begins and for how long it is at work. */
function failing() {
  const watch = watchRetries(AFTER_MS);
  return async (attempt: number, beginsMs: number, lastsMs = 0) => {
    const info = { workflowExecution: { runId: 'r' }, activityId: '1', attempt };
    const { inbound } = watch({ info: { ...info, activityType: 'step' } } as unknown as Context);
    nowMs = beginsMs;
    const work = () => {
      nowMs += lastsMs;
      return Promise.reject(new Error('no'));
    };
    const end = inbound?.execute?.({ args: [], headers: {} }, work);
    const error: unknown = await end?.catch((reason: unknown) => reason);
    return failureDetails(error)?.details.code ?? (error as Error).message;
  };
}

it('begins with the first failure', async () => {
  const attempt = failing();
  expect([await attempt(1, 0), await attempt(2, 900), await attempt(3, 1100)]).toEqual([
    'no',
    'no',
    'stuck',
  ]);
});

it('does not begin with an attempt that worked for longer before it failed', async () => {
  const attempt = failing();
  // The one before it was that of an agent that was deployed again.
  expect(await attempt(2, 0, 5000)).toBe('no');
  expect([await attempt(3, 5500), await attempt(4, 6100)]).toEqual(['no', 'stuck']);
});
