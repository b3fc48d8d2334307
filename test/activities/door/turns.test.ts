/** Turns: so much at once, first come first served, and no turn outlives its work. */
import { afterEach, expect, it, jest } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createTurns, type Work } from '../../../activities/door/turns.ts';
import { waitUntil } from '../../support/wait-until.ts';

afterEach(() => {
  jest.restoreAllMocks();
});

/** Turns with limits that the test changes, and what it says is running. */
function scene(limits: Record<string, number>, found: Work[] = []) {
  const running = new Set(found.map(({ id }) => id));
  const turns = createTurns({
    limits: () => Promise.resolve((taken) => limits[taken] ?? 0),
    found: () => Promise.resolve(found),
    runs: (id) => Promise.resolve(running.has(id)),
  });
  const begun: string[] = [];
  const ask = (
    id: string,
    startedAtMs: number,
    more: { takes?: string[]; isBegun?: boolean } = {},
  ) => {
    const { takes = ['copies'], isBegun = false } = more;
    const environment = new MockActivityEnvironment();
    let note: string | null = null;
    environment.on('heartbeat', (details: { note: string }) => (note = details.note));
    const options = { startedAtMs, isBegun: () => Promise.resolve(isBegun) };
    const taken = environment.run(async () => {
      const hasWaited = await turns.take({ id, takes }, options);
      begun.push(id);
      return hasWaited;
    });
    taken.catch(() => undefined);
    return { taken, environment, note: () => note };
  };
  return { turns, running, begun, ask };
}

const words = (place: string, limit = 1, of = 'copies') =>
  `waiting for its turn, ${place}: ${limit} ${of} at once`;

it('Work begins in the order in which its operations were started', async () => {
  const { turns, begun, ask } = scene({ copies: 1 });
  expect(await ask('first', 1).taken).toBe(false);
  const late = ask('late', 9);
  const early = ask('early', 5);
  await waitUntil('both wait', () => late.note() === words('2 of 2'));
  expect(early.note()).toBe(words('1 of 2'));
  turns.giveBack('first');
  await early.taken;
  await waitUntil('one waits', () => late.note() === words('1 of 1'));
  turns.giveBack('early');
  expect(await late.taken).toBe(true);
  // It has the turn now.
  expect(await ask('late', 9).taken).toBe(false);
  expect(begun).toEqual(['first', 'early', 'late', 'late']);
});

it('A cancelled wait takes no turn', async () => {
  const { turns, begun, ask } = scene({ copies: 1 });
  await ask('first', 1).taken;
  const given = ask('given up', 2);
  const next = ask('next', 3);
  await waitUntil('both wait', () => next.note() === words('2 of 2'));
  given.environment.cancel();
  await expect(given.taken).rejects.toThrow();
  turns.giveBack('first');
  await next.taken;
  expect(begun).toEqual(['first', 'next']);
});

it('A limit that is raised lets those that wait begin', async () => {
  const limits = { copies: 1 };
  const { ask } = scene(limits);
  await ask('first', 1).taken;
  const second = ask('second', 2);
  await waitUntil('it waits', () => second.note() !== null);
  limits.copies = 2;
  await second.taken;
});

it('A pool that is full does not stop copies into others', async () => {
  const into = (pool: string) => ({ takes: ['copies', `copies into pool ${pool}`] });
  const { ask } = scene({ copies: 3, 'copies into pool a': 1 });
  await ask('first', 1, into('a')).taken;
  const second = ask('second', 2, into('a'));
  await waitUntil('it waits', () => second.note() === words('1 of 1', 1, 'copies into pool a'));
  await ask('other', 3, into('b')).taken;
});

it('What an earlier agent began counts until it ends', async () => {
  const { running, ask } = scene({ copies: 1 }, [{ id: 'found', takes: ['copies'] }]);
  const next = ask('next', 1);
  await waitUntil('it waits', () => next.note() === words('1 of 1'));
  // It has the turn that it had.
  await ask('found', 2).taken;
  jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 31_000);
  running.delete('found');
  await next.taken;
});

it('What rests takes no turn from others, and counts again when it goes on', async () => {
  const { turns, ask } = scene({ copies: 1 });
  const end = Promise.withResolvers<void>();
  const followed = turns.during({ id: 'full', takes: ['copies'] }, () => end.promise);
  const next = ask('next', 1);
  await waitUntil('it waits', () => next.note() === words('1 of 1'));
  turns.rest('full', true);
  await next.taken;
  turns.giveBack('next');
  turns.rest('full', false);
  const last = ask('last', 2);
  await waitUntil('it waits', () => last.note() === words('1 of 1'));
  turns.giveBack('full');
  end.resolve();
  await Promise.all([followed, last.taken]);
});

it('What is slow to say whether it runs is asked by one of those who wait', async () => {
  const answer = Promise.withResolvers<boolean>();
  const runs = jest.fn(() => answer.promise);
  const turns = createTurns({
    limits: () => Promise.resolve(() => 0),
    found: () => Promise.resolve([{ id: 'slow', takes: ['copies'] }]),
    runs,
  });
  const take = (id: string) =>
    new MockActivityEnvironment().run(() =>
      turns.take({ id, takes: ['copies'] }, { startedAtMs: 1 }),
    );
  const asker = take('asker');
  await waitUntil('it is asked', () => runs.mock.calls.length === 1);
  await take('other');
  turns.giveBack('other');
  answer.resolve(true);
  await asker;
  expect(runs).toHaveBeenCalledTimes(1);
});

it('What runs already is followed without waiting', async () => {
  const { ask } = scene({ copies: 1 });
  await ask('first', 1).taken;
  await ask('begun', 2, { isBegun: true }).taken;
});

it('A turn stays while an activity follows it, and ends with a terminated operation', async () => {
  const { turns, ask } = scene({ copies: 1 });
  const end = Promise.withResolvers<void>();
  const followed = turns.during({ id: 'followed', takes: ['copies'] }, () => end.promise);
  const next = ask('next', 1);
  jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 31_000);
  await waitUntil('it waits', () => next.note() === words('1 of 1'));
  end.resolve();
  await followed;
  // Nothing runs, and no step follows.
  jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 62_000);
  await next.taken;
});
