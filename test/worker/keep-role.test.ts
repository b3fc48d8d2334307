import { expect, it } from '@jest/globals';
import type { Worker } from '@temporalio/worker';
import { run, type Role } from '../../worker/roles/role.ts';
import { keepRole } from '../../worker/up/keep-role.ts';
import { waitUntil } from '../support/wait-until.ts';

const LIMIT = { restarts: 3, withinMs: 60_000, pauseMs: 1 };

/** Roles that a test ends. */
function roles() {
  const ends: ((error?: Error) => void)[] = [];
  const told: unknown[] = [];
  const start = (): Promise<Role> => {
    const { promise: done, resolve, reject } = Promise.withResolvers<void>();
    ends.push((error) => (error ? reject(error) : resolve()));
    return Promise.resolve({ name: 'host', done, stop: () => Promise.resolve(resolve()) });
  };
  return { ends, told, start, log: { error: (facts: unknown) => told.push(facts) } };
}

it('A role that ends by itself is started again, and the reason is told', async () => {
  const { ends, told, start, log } = roles();
  const kept = await keepRole(start, log, LIMIT);
  ends[0]?.(new Error('gone'));
  await waitUntil('another one', () => ends.length === 2);
  expect(told).toEqual([{ role: 'host', error: 'Error: gone' }]);
  await kept.stop();
  await kept.done;
  expect(ends).toHaveLength(2);
});

it('A role that ends again and again ends `up`, with its error', async () => {
  const { ends, start, log } = roles();
  const kept = await keepRole(start, log, LIMIT);
  for (let n = 1; n <= LIMIT.restarts; n++) {
    await waitUntil(`start ${n}`, () => ends.length === n);
    ends[n - 1]?.(new Error(`end ${n}`));
  }
  await expect(kept.done).rejects.toThrow('end 3');
});

it('A first start that fails is no matter of restarts', async () => {
  const { log } = roles();
  const start = () => Promise.reject(new Error('no libvirt'));
  await expect(keepRole(start, log, LIMIT)).rejects.toThrow('no libvirt');
});

it('A worker that fails ends the others of its role before the role is over', async () => {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const failing = { run: () => Promise.reject(new Error('no poll')), getState: () => 'FAILED' };
  const other = { run: () => ended, getState: () => 'RUNNING', shutdown: () => end() };
  const role = run('spm', [failing, other] as unknown as Worker[]);
  await expect(role.done).rejects.toThrow('no poll');
  await ended;
});
