/** The limit of a copy is the one that was told last, whatever dies in between. */
import { expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { askCopier, copierState } from '../../../activities/adapters/copying-daemon/daemon.ts';
import { statusQuery } from '../../../workflows/kinds.ts';
import { armFault } from '../../support/faults/faults.ts';
import { LASTING, SLOW } from '../../support/scenes/copying.ts';
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
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'limit' }));

/** Bytes per second of the copies that run, as QEMU has them. */
async function speeds(move: WorkflowHandle): Promise<number[]> {
  const { jobId } = await move.query(statusQuery);
  const state = copierState(system.runtimeDir, jobId ?? '');
  const [jobs] = (await askCopier(state, [{ execute: 'query-block-jobs' }])) ?? [[]];
  return (jobs as { speed: number }[]).map(({ speed }) => speed);
}
async function untilSpeed(move: WorkflowHandle, wanted: number): Promise<void> {
  let seen = '';
  await waitUntil(
    () => `a limit of ${wanted}: ${seen}`,
    async () => {
      const [found, { phase, note }] = [await speeds(move), await move.query(statusQuery)];
      seen = `${found.join()}, ${phase}, ${note}`;
      return found.join() === String(wanted);
    },
  );
}

type Move = Awaited<ReturnType<typeof startMove>>;
async function expectMoved(file: string, before: object, move: Move): Promise<void> {
  await unlimit(move);
  await removalOf(system, await move.result());
  expect(await digests([inVault(system, file)])).toEqual(before);
}

it('is kept by the copy that begins again when the daemon has died', async () => {
  const { file, before, move, daemon } = await slowMove(system, 'again');
  await untilSpeed(move, SLOW);
  expect(await move.executeUpdate('bandwidth', { args: [2 * SLOW] })).toBe('128.0 KiB/s');
  expect(await speeds(move)).toEqual([2 * SLOW]);
  process.kill(daemon, 'SIGKILL');
  await waitUntil('another daemon', async () => {
    const [now] = await copiers(system);
    return now !== undefined && now !== daemon;
  });
  await untilSpeed(move, 2 * SLOW);
  await expectMoved(file, before, move);
});

it('is that of the request that adopts a copy of a terminated one', async () => {
  const { file, before, move } = await slowMove(system, 'adopted', SLOW, LASTING.bytes);
  await move.executeUpdate('bandwidth', { args: [2 * SLOW] });
  await move.terminate('a test');
  const request = { image: diskOf('adopted'), bandwidthBytesPerSecond: 3 * SLOW };
  const repeated = await startMove(system, request);
  await untilSpeed(repeated, 3 * SLOW);
  await expectMoved(file, before, repeated);
});

it('is heard while the copy is just being started', async () => {
  const file = await defineOff(system, 'starting', LASTING);
  const before = await digests([file]);
  armFault(system.trace, { effect: 'image.start-copy', action: 'stop-before' });
  const request = { image: diskOf('starting'), bandwidthBytesPerSecond: SLOW };
  const move = await startMove(system, request);
  await system.roleStopped('host');
  const told = move.executeUpdate('bandwidth', { args: [2 * SLOW] });
  await waitUntil('the update to be there', async () => {
    const { events } = await move.fetchHistory();
    return events?.some((event) => event.workflowExecutionUpdateAcceptedEventAttributes);
  });
  system.signalRole('host', 'SIGCONT');
  expect(await told).toBe('128.0 KiB/s');
  await untilSpeed(move, 2 * SLOW);
  await expectMoved(file, before, move);
});
