/** Copies and merges beyond the limit of a host wait for their turn, and survive its agent. */
import { expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { commandLine, environmentOf } from '../../support/host/roles/command-line.ts';
import { exitsWith } from '../../support/host/roles/says.ts';
import {
  copiers,
  defineOff,
  digests,
  diskOf,
  inVault,
  removalOf,
  startMove,
  startMoveSystem,
} from '../../support/scenes/transfer/move-scene.ts';
import { slowMove, unlimit } from '../../support/scenes/transfer/slow-move.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { waitUntil } from '../../support/wait-until.ts';

const system = useSystem(() => startMoveSystem({ name: 'turns' }));
const blockflow = (...args: string[]) => commandLine(environmentOf(system))(...args);

/** Until the status that a user sees has this place in it. */
const untilWaiting = ({ workflowId }: WorkflowHandle, place: string) =>
  waitUntil(`${workflowId} to be ${place}`, async () => {
    const { printed } = await blockflow('status', workflowId);
    return printed.includes(`waiting for its turn, ${place}: 1 copies at once`);
  });

it('A copy waits for its turn, its VM not held, through the death of the agent', async () => {
  exitsWith(await blockflow('limit', 'copies', '1'), 0);
  const first = await slowMove(system, 'first');
  const files = await Promise.all(['second', 'third'].map((vm) => defineOff(system, vm)));
  const before = await digests(files);
  const second = await startMove(system, { image: diskOf('second') });
  await untilWaiting(second, '1 of 1');
  const third = await startMove(system, { image: diskOf('third') });
  await untilWaiting(third, '2 of 2');
  expect(await copiers(system)).toEqual([first.daemon]);

  await system.killRole('host');
  await system.startRole('host');
  await untilWaiting(third, '2 of 2');
  expect(await copiers(system)).toEqual([first.daemon]);

  await third.cancel();
  await expect(third.result()).rejects.toThrow();
  expect((await third.describe()).status.name).toBe('CANCELLED');
  await untilWaiting(second, '1 of 1');
  await unlimit(first.move);
  await removalOf(system, await first.move.result());
  await removalOf(system, await second.result());
  const [moved = '', stayed = ''] = files;
  expect(await digests([inVault(system, moved), stayed])).toEqual(before);
});

it('A limit that is raised lets the next one begin', async () => {
  const first = await slowMove(system, 'raised');
  await defineOff(system, 'next');
  const next = await startMove(system, { image: diskOf('next') });
  await untilWaiting(next, '1 of 1');
  exitsWith(await blockflow('limit', 'copies', '2'), 0);
  await removalOf(system, await next.result());
  await unlimit(first.move);
  await removalOf(system, await first.move.result());
});
