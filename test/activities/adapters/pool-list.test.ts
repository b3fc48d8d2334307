import { afterEach, expect, it } from '@jest/globals';
import { CommandError } from '../../../activities/adapters/process/command.ts';
import { createPoolLists } from '../../../activities/adapters/virsh/pool-list.ts';
import { waitUntil } from '../../support/wait-until.ts';

const said = (text: string) => Promise.reject(CommandError.of('virsh pool-refresh', text));
const busy = () => said("error: internal error: pool 'images' has asynchronous jobs running.");

const lists: { endLists(): void }[] = [];
afterEach(() => lists.splice(0).forEach((one) => one.endLists()));

/** Answers one after the other, the last one again and again. */
function scene(...answers: (() => Promise<unknown>)[]) {
  const asked: string[] = [];
  const made = createPoolLists(
    (pool) => {
      asked.push(pool);
      return (answers.length > 1 ? answers.shift() : answers[0])?.() ?? Promise.resolve();
    },
    { first: 1, most: 4 },
  );
  lists.push(made);
  return { asked, ...made };
}
const done = () => Promise.resolve();

it.each(['refreshPool', 'refreshPoolSoon'] as const)(
  '%s fails no step, and tries again',
  async (how) => {
    const { asked, ...lists } = scene(busy, busy, busy, done);
    await lists[how]('images');
    expect(asked).toHaveLength(1);
    await waitUntil('libvirt to make the list', () => asked.length === 4);
    await lists.refreshPool('images');
    expect(asked).toHaveLength(5);
  },
);

it('is tried again once for all who have asked', async () => {
  const { asked, refreshPool } = scene(busy, busy, busy, done);
  for (let i = 0; i < 3; i++) await refreshPool('images');
  await waitUntil('libvirt to make the list', () => asked.length === 4);
});

it.each(['error: failed to get pool', "error: storage pool 'images' is not active"])(
  'is not tried again where there is none: %s',
  async (text) => {
    const { asked, refreshPool } = scene(() => said(text));
    await refreshPool('images');
    await refreshPool('images');
    expect(asked).toHaveLength(2);
  },
);

it('is not waited for long where only the names of gone volumes stay', async () => {
  const { asked, refreshPoolSoon } = scene(() => new Promise(() => undefined));
  await refreshPoolSoon('images');
  expect(asked).toHaveLength(1);
});
