import { expect, it } from '@jest/globals';
import type { Role } from '../../worker/roles/role.ts';
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
