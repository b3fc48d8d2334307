/** An audit log that cannot be written: told in words, waited for, and no obstacle to a cancel. */
import { expect, it } from '@jest/globals';
import { isCancellation } from '@temporalio/workflow';
import { WorkflowFailedError } from '@temporalio/client';
import { CACHES, startBench, type MergeHandle } from '../../support/workflow-bench.ts';
import { bandwidthUpdate } from '../../../workflows/operation/contract.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const bench = use('the bench', startBench);
const [CACHE] = CACHES;

const untilTold = (handle: MergeHandle) =>
  waitUntil('words about the audit log', async () => {
    const { away } = await bench.status(handle);
    return away?.includes('the audit log cannot be written: ') && away;
  });
const kindsOf = async (vm: ReturnType<typeof bench.addVm>) =>
  (await bench.events(vm)).map(({ kind }) => kind);

it('A merge waits with words for its first event, and goes on by itself', async () => {
  const vm = bench.addVm();
  const restore = await bench.breakAuditLog();
  const handle = await bench.merge(vm, CACHE);
  expect(await untilTold(handle)).toMatch(/E(NOTDIR|EXIST)/);
  await restore();
  expect(await handle.result()).toMatchObject({ outcome: 'merged' });
  expect(await kindsOf(vm)).toEqual(['started', 'merged']);
  expect((await bench.status(handle)).away).toBeNull();
});

it('A cancel ends a merge that waits for it, and touches nothing', async () => {
  const vm = bench.addVm();
  const restore = await bench.breakAuditLog();
  try {
    const handle = await bench.merge(vm, CACHE);
    await untilTold(handle);
    await handle.cancel();
    const ended = await handle.result().catch((error: unknown) => error);
    expect(ended).toBeInstanceOf(WorkflowFailedError);
    expect(isCancellation((ended as WorkflowFailedError).cause)).toBe(true);
    expect(vm.job).toBeNull();
  } finally {
    await restore();
  }
  expect(await kindsOf(vm)).toEqual([]);
});

it('A merge that waits for its first event takes a limit', async () => {
  const vm = bench.addVm();
  const restore = await bench.breakAuditLog();
  const handle = await bench.merge(vm, CACHE);
  await untilTold(handle);
  await handle.executeUpdate(bandwidthUpdate, { args: [5_000_000] });
  await restore();
  expect(await handle.result()).toMatchObject({ outcome: 'merged' });
  expect(await bench.status(handle)).toMatchObject({ bandwidthBytesPerSecond: 5_000_000 });
});

it('After the point of no return the end waits for its event, which is not lost', async () => {
  const vm = bench.addVm();
  const gate = bench.gate(vm, 'ensurePivoted');
  const handle = await bench.merge(vm, CACHE);
  await gate.reached;
  const restore = await bench.breakAuditLog();
  gate.open();
  await untilTold(handle);
  await restore();
  expect(await handle.result()).toMatchObject({ outcome: 'merged' });
  expect(await kindsOf(vm)).toEqual(['started', 'merged']);
});
