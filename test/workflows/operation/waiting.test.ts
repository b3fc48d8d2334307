/** What a merge waits for, what it hears meanwhile, and what it says. */
import { describe, expect, it } from '@jest/globals';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { bandwidthUpdate, decideUpdate } from '../../../workflows/operation/contract.ts';
import {
  CACHES,
  TRIED_CACHES,
  startBench,
  type MergeHandle,
} from '../../support/workflow-bench.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { use } from '../../support/use.ts';

const bench = use('the bench', startBench);

const failureOf = async (handle: MergeHandle) =>
  failureDetails(await handle.result().catch((error: unknown) => error));
const SLOW = { bandwidthBytesPerSecond: 1 };

describe.each(TRIED_CACHES)('LiveMerge, $cache,', (cache) => {
  it('refuses a disk with a foreign job, which it does not touch', async () => {
    const vm = bench.addVm();
    vm.startForeignJob();
    const handle = await bench.merge(vm, cache);
    const refusal = { type: 'Refused', details: { code: 'foreign-job' } };
    expect(await failureOf(handle)).toMatchObject(refusal);
    expect(vm.job).toMatchObject({ mode: 'foreign' });
    expect(vm.effects).toEqual([]);
  });

  it('waits for a foreign job with --if-busy wait', async () => {
    const vm = bench.addVm();
    vm.startForeignJob();
    const handle = await bench.merge(vm, cache, { ifBusy: 'wait' });
    expect((await bench.untilPhase(handle, 'waiting for the disk')).note).toContain('foreign');
    expect(vm.effects).toEqual([]);
    vm.job = null;
    expect(await handle.result()).toMatchObject({ outcome: 'merged' });
  });

  it('waits for space, says how much is missing, and goes on by itself', async () => {
    const vm = bench.addVm();
    vm.freeBytes = 0;
    const handle = await bench.merge(vm, cache);
    expect((await bench.untilPhase(handle, 'waiting for space')).note).toContain('1.0 MiB');
    expect(vm.effects).toEqual([]);
    vm.freeBytes = 2 ** 30;
    expect(await handle.result()).toMatchObject({ outcome: 'merged' });
  });

  it('fails with a reason when the VM stops, and the same request finishes cold', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, SLOW);
    await waitUntil('the job', () => vm.job !== null);
    vm.stop('shut off (crashed)');
    const failure = await failureOf(handle);
    expect(failure).toMatchObject({ type: 'Retry', details: { code: 'vm-stopped' } });
    expect(failure?.details.now).toContain('crashed');
    expect(vm.record).toBeNull();
    expect(vm.paths()).toHaveLength(2);
    expect((await bench.events(vm)).at(-1)).toMatchObject({ kind: 'failed' });
    const again = await bench.merge(vm, cache);
    expect(await again.result()).toMatchObject({ outcome: 'merged', mode: 'cold' });
  });

  it('goes on cold with --on-vm-stop continue', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, { ...SLOW, onVmStop: 'continue' });
    await waitUntil('the job', () => vm.job !== null);
    vm.stop('shut off (shutdown)');
    expect(await handle.result()).toMatchObject({ outcome: 'merged', mode: 'cold' });
  });

  it('says that a merge does not converge, and goes on', async () => {
    const vm = bench.addVm();
    vm.diverges = true;
    const handle = await bench.merge(vm, cache);
    await waitUntil('the note', async () =>
      (await bench.status(handle)).note?.includes('not converging'),
    );
    vm.diverges = false;
    expect(await handle.result()).toMatchObject({ outcome: 'merged' });
  });

  it('changes the limit of a running copy, and refuses a limit that is none', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, SLOW);
    await waitUntil('the job', () => vm.job !== null);
    const wrong = handle.executeUpdate(bandwidthUpdate, { args: [-1] });
    await expect(wrong).rejects.toBeInstanceOf(WorkflowUpdateFailedError);
    await bench.untilPhase(handle, 'copying');
    const limit = 32 * 2 ** 20;
    const words = await handle.executeUpdate(bandwidthUpdate, { args: [limit] });
    expect(words).toBe('32.0 MiB/s');
    expect(vm.job?.limit ?? limit).toBe(limit);
    expect(await handle.result()).toMatchObject({ outcome: 'merged' });
    expect(vm.effects).toContain('limit');
  });

  it('gives a limit to a job that was just being started when the limit came', async () => {
    const vm = bench.addVm();
    const starting = bench.gate(vm, 'ensureCommitStarted');
    const handle = await bench.merge(vm, cache, SLOW);
    await starting.reached;
    expect(await handle.executeUpdate(bandwidthUpdate, { args: [0] })).toContain('no job runs');
    starting.open();
    expect(await handle.result()).toMatchObject({ outcome: 'merged' });
  });

  it.each(['pivot', 'keep'] as const)('waits at READY for a decision: %s', async (choice) => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, { waitForDecision: true });
    const early = handle.executeUpdate(decideUpdate, { args: ['maybe' as 'pivot'] });
    await expect(early).rejects.toBeInstanceOf(WorkflowUpdateFailedError);
    const status = await bench.untilPhase(handle, 'waiting for a decision');
    expect(status.note).toContain('READY');
    await handle.executeUpdate(decideUpdate, { args: [choice] });
    const outcome = choice === 'pivot' ? 'merged' : 'kept';
    expect(await handle.result()).toMatchObject({ outcome });
    expect(vm.paths()).toHaveLength(choice === 'pivot' ? 1 : 2);
  });

  it('refuses a decision that no operation waits for', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, SLOW);
    await bench.untilPhase(handle, 'copying');
    const early = handle.executeUpdate(decideUpdate, { args: ['pivot'] });
    await expect(early).rejects.toBeInstanceOf(WorkflowUpdateFailedError);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
  });

  it('notices that the VM stops while a person decides', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, { waitForDecision: true });
    await bench.untilPhase(handle, 'waiting for a decision');
    vm.stop('shut off (crashed)');
    expect(await failureOf(handle)).toMatchObject({ details: { code: 'vm-stopped' } });
  });

  it('tells phase, chain and what a cancel means, while it runs and afterwards', async () => {
    const vm = bench.addVm();
    const [base, top] = vm.paths();
    const handle = await bench.merge(vm, cache, SLOW);
    const status = await bench.untilPhase(handle, 'copying');
    // The activity that starts the commit writes it, when the phase is told already.
    await waitUntil('the record', () => vm.record !== null);
    expect(status).toMatchObject({
      vm: vm.name,
      disk: 'vda',
      host: 'h1',
      mode: 'active',
      jobId: vm.record?.jobId,
      chainBefore: [base, top],
      chainTarget: [base],
      cancel: { possible: true },
    });
    const page = await detailsPage(handle);
    expect(page).toContain('**copying** since');
    expect(page).toContain(`\`${vm.name}.layer0\` ← \`${vm.name}.layer1\``);
    await handle.executeUpdate(bandwidthUpdate, { args: [0] });
    const { summary } = await handle.result();
    expect(await bench.status(handle)).toMatchObject({ phase: 'finished', note: summary });
    expect(await detailsPage(handle)).toContain('**finished**');
  });

  it('adopts the job that a terminated run left, and keeps its id', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, SLOW);
    await waitUntil('the job', () => vm.job !== null);
    const jobId = vm.record?.jobId;
    await handle.terminate();
    if (vm.job) vm.job.limit = 0;
    const again = await bench.merge(vm, cache);
    expect(await again.result()).toMatchObject({ outcome: 'merged', jobId });
    expect(vm.effects.filter((effect) => effect === 'start')).toHaveLength(1);
  });
});

/** What the Web UI shows as current details. */
async function detailsPage(handle: MergeHandle): Promise<string> {
  type Metadata = { currentDetails: string };
  return (await handle.query<Metadata>('__temporal_workflow_metadata')).currentDetails;
}

describe('A host agent that is unavailable', () => {
  it('shows as such, and the merge goes on when it is back', async () => {
    const runs = CACHES.map(async (cache) => {
      const vm = bench.addVm();
      const handle = await bench.merge(vm, cache, { host: 'h2' });
      return { vm, handle };
    });
    const merges = await Promise.all(runs);
    for (const { handle } of merges) {
      const away = async () => (await bench.status(handle)).away ?? undefined;
      const options = { timeoutMs: 30_000, intervalMs: 500 };
      expect(await waitUntil('the agent to be unavailable', away, options)).toContain('host-h2');
      const stuck = async () => (await bench.status(handle)).stuck ?? undefined;
      expect(await waitUntil('that to be told', stuck, options)).toContain(
        'host-h2 does not answer',
      );
    }
    await bench.startHostAgent('h2');
    for (const { handle } of merges) {
      expect(await handle.result()).toMatchObject({ outcome: 'merged' });
      expect(await bench.status(handle)).toMatchObject({ away: null, stuck: null });
    }
  });
});
