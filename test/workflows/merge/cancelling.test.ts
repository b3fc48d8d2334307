/** A cancel at every step: undone before the point of no return, completed after it. */
import { describe, expect, it } from '@jest/globals';
import { isCancellation } from '@temporalio/workflow';
import { WorkflowFailedError } from '@temporalio/client';
import type { LiveMergeRequest } from '../../../workflows/merge/request.ts';
import type { AgentActivities } from '../../support/simulator/simulated-host.ts';
import type { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { CACHES, TRIED_CACHES, startBench } from '../../support/workflow-bench.ts';
import { use } from '../../support/use.ts';

const bench = use('the bench', startBench);

interface Step {
  activity: keyof AgentActivities;
  scene: string;
  prepare?: (vm: SimulatedVm) => void;
  request?: Partial<LiveMergeRequest>;
}

const off = (vm: SimulatedVm) => vm.stop('shut off (destroyed)');
const busy = (vm: SimulatedVm) => vm.startForeignJob();
const full = (vm: SimulatedVm) => void (vm.freeBytes = 0);
/** Slow, as an inner job ends by itself; the name of top is put in. */
const INNER = { top: 'layer1', bandwidthBytesPerSecond: 1 };
const wait = { ifBusy: 'wait' } as const;

/**
 * Every activity of a merge, by what a cancel does while it runs. `observeChain` is of no merge.
 */
const undone: readonly Step[] = [
  { activity: 'observeMergePlan', scene: 'a running VM' },
  { activity: 'awaitDiskIdle', scene: 'a foreign job', prepare: busy, request: wait },
  { activity: 'awaitSpace', scene: 'a full file system', prepare: full },
  { activity: 'ensureCommitStarted', scene: 'a running VM' },
  { activity: 'awaitCommitReady', scene: 'a running VM' },
  { activity: 'awaitCommitReady', scene: 'an inner layer', request: INNER },
  { activity: 'ensureColdCommitted', scene: 'a VM that is down', prepare: off },
];
const snapshot = (vm: SimulatedVm) => void (vm.snapshots = [{ name: 's', action: 'delete' }]);
const completed: readonly Step[] = [
  { activity: 'ensurePivoted', scene: 'a running VM' },
  { activity: 'awaitCommitReady', scene: 'an inner job that ends', request: { top: 'layer1' } },
  { activity: 'observeMergeProof', scene: 'a running VM' },
  { activity: 'ensureSnapshotRecords', scene: 'a snapshot', prepare: snapshot },
  { activity: 'ensureVolumesAbsent', scene: 'a running VM' },
  { activity: 'ensureJobForgotten', scene: 'a running VM' },
  { activity: 'ensureColdSwitched', scene: 'a VM that is down', prepare: off },
];

const ends = (vm: SimulatedVm) => {
  vm.advance();
  return vm.job === null;
};

/** Cancels while the activity runs, lets it end well, and returns how the merge ended. */
async function cancelAt(step: Step, cache: (typeof CACHES)[number]) {
  const vm = bench.addVm(2);
  step.prepare?.(vm);
  const request = { ...step.request, ...(step.request?.top ? { top: vm.path(1) } : {}) };
  const gate = bench.gate(vm, step.activity);
  const handle = await bench.merge(vm, cache, request);
  await gate.reached;
  await handle.cancel();
  // A query is answered after what came before it, so the workflow has heard the cancel.
  await bench.status(handle);
  if (step.scene === 'an inner job that ends') await waitUntil('its end', () => ends(vm));
  gate.open();
  const ended = await handle.result().catch((error: unknown) => error);
  return { vm, ended, handle, kinds: (await bench.events(vm)).map(({ kind }) => kind) };
}

describe.each(TRIED_CACHES)('A cancel, $cache,', (cache) => {
  it.each(undone)('during $activity with $scene undoes the merge', async (step) => {
    const { vm, ended, kinds, handle } = await cancelAt(step, cache);
    expect(ended).toBeInstanceOf(WorkflowFailedError);
    expect(isCancellation((ended as WorkflowFailedError).cause)).toBe(true);
    expect(vm).toMatchObject({ record: null });
    expect(vm.job?.mode ?? 'foreign').toBe('foreign');
    expect(vm.paths()).toHaveLength(3);
    expect(vm.files.size).toBe(3);
    expect(vm.effects).not.toContain('delete');
    if (vm.effects.includes('record')) expect(vm.effects.slice(-2)).toEqual(['abort', 'forget']);
    expect(kinds).toEqual(['started', 'cancelled']);
    expect(await bench.status(handle)).toMatchObject({ phase: 'finished' });
  });

  it.each(completed)('during $activity with $scene is refused: it completes', async (step) => {
    const { vm, ended, kinds } = await cancelAt(step, cache);
    expect(ended).toMatchObject({ outcome: 'merged' });
    expect(vm).toMatchObject({ record: null, job: null });
    expect([...vm.files]).toEqual(vm.paths());
    expect(kinds.sort()).toEqual(['cancel-refused', 'merged', 'started']);
  });

  it('during the abort of a merge that keeps its overlay still ends it as kept', async () => {
    const step = { activity: 'ensureCommitAborted', scene: '', request: { keepOverlay: true } };
    const { ended, vm } = await cancelAt(step as Step, cache);
    expect(ended).toMatchObject({ outcome: 'kept' });
    expect(vm).toMatchObject({ record: null, job: null });
  });

  it('between two attempts leaves no record of the first', async () => {
    const vm = bench.addVm();
    Object.assign(vm, { jobsToLose: 1, copyMs: 500 });
    const handle = await bench.merge(vm, cache);
    await waitUntil('the job', () => vm.job !== null);
    const gate = bench.gate(vm, 'observeMergePlan');
    await gate.reached;
    await handle.cancel();
    await bench.status(handle);
    gate.open();
    await expect(handle.result()).rejects.toBeInstanceOf(WorkflowFailedError);
    expect(vm).toMatchObject({ record: null, job: null });
  });

  it('that waits for a decision undoes the merge', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, { waitForDecision: true });
    await bench.untilPhase(handle, 'waiting for a decision');
    await handle.cancel();
    await expect(handle.result()).rejects.toBeInstanceOf(WorkflowFailedError);
    expect(vm).toMatchObject({ record: null, job: null });
    expect(vm.paths()).toHaveLength(2);
  });
});
