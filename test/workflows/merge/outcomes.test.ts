/** Every way a merge ends, against VMs in memory on a real Temporal server. */
import { describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { TRIED_CACHES, startBench, type MergeHandle } from '../../support/workflow-bench.ts';
import { use } from '../../support/use.ts';

const bench = use('the bench', startBench);

const failureOf = async (handle: MergeHandle) =>
  failureDetails(await handle.result().catch((error: unknown) => error));

describe.each(TRIED_CACHES)('LiveMerge, $cache,', (cache) => {
  it('merges the active layer: records before it starts, proves before it deletes', async () => {
    const vm = bench.addVm();
    vm.snapshots = [{ name: 's1', action: 'delete' }];
    const handle = await bench.merge(vm, cache);
    const [base, top] = vm.paths();
    expect(await handle.result()).toMatchObject({
      outcome: 'merged',
      mode: 'active',
      stallMs: 12,
      warnings: [],
      deleted: [top],
      chainBefore: [base, top],
      chainAfter: [base],
      regainedBytes: 1048576,
    });
    const switching = ['record', 'start', 'pivot', 'prove', 'snapshot-records', 'delete', 'forget'];
    expect(vm.effects).toEqual(switching);
    expect([...vm.files]).toEqual([base]);
    expect((await bench.events(vm)).map(({ kind }) => kind)).toEqual(['started', 'merged']);
  });

  it('merges several layers below the top, whose job ends by itself without a pivot', async () => {
    const vm = bench.addVm(3);
    const top = vm.path(2);
    const handle = await bench.merge(vm, cache, { top });
    expect(await handle.result()).toMatchObject({ outcome: 'merged', mode: 'inner' });
    expect(vm.effects).toEqual(['record', 'start', 'prove', 'delete', 'forget']);
    expect(vm.paths()).toEqual([vm.path(0), vm.path(3)]);
    expect([...vm.files]).toEqual(vm.paths());
  });

  it('merges while the VM is down', async () => {
    const vm = bench.addVm();
    vm.stop('shut off (destroyed)');
    const handle = await bench.merge(vm, cache);
    expect(await handle.result()).toMatchObject({ outcome: 'merged', mode: 'cold', stallMs: null });
    const effects = ['record', 'cold-commit', 'cold-switch', 'prove', 'delete', 'forget'];
    expect(vm.effects).toEqual(effects);
  });

  it('merges live when the VM is started during a cold commit', async () => {
    const vm = bench.addVm();
    Object.assign(vm, { state: 'off', copyMs: 2000 });
    const cold = bench.gate(vm, 'ensureColdCommitted');
    const handle = await bench.merge(vm, cache);
    await cold.reached;
    Object.assign(vm, { state: 'running', copyMs: 30 });
    cold.open();
    expect(await handle.result()).toMatchObject({ outcome: 'merged', mode: 'active' });
  });

  it('keeps the overlay: ends the READY job, and the chain is what it was', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, { keepOverlay: true });
    expect(await handle.result()).toMatchObject({ outcome: 'kept', chainAfter: vm.paths() });
    expect(vm.paths()).toHaveLength(2);
    expect(vm.job).toBeNull();
    expect(vm.effects).toEqual(['record', 'start', 'abort', 'forget']);
  });

  it('keeps the volumes when asked to, out of the chain', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, { keepVolumes: true });
    expect(await handle.result()).toMatchObject({ outcome: 'merged', deleted: [] });
    expect(vm.files.size).toBe(2);
    expect(vm.paths()).toHaveLength(1);
  });

  it('says by observation that the work is already done', async () => {
    const vm = bench.addVm();
    await (await bench.merge(vm, cache)).result();
    vm.effects.length = 0;
    const again = await bench.merge(vm, cache);
    expect(await again.result()).toMatchObject({ outcome: 'already-done', deleted: [] });
    expect(vm.effects).toEqual([]);
  });

  it('says by the audit log that this very request merged the named volume', async () => {
    const vm = bench.addVm();
    const request = { top: vm.path(1) };
    await (await bench.merge(vm, cache, request)).result();
    const again = await bench.merge(vm, cache, request);
    expect(await again.result()).toMatchObject({ outcome: 'already-done' });
    expect(await failureOf(await bench.merge(vm, cache, { ...request, base: 'b' }))).toMatchObject({
      type: 'Refused',
      details: { code: 'volume-not-in-chain', now: expect.stringMatching(/--top .* merged it at/) },
    });
  });

  it('refuses before it has touched anything', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, { top: '/images/other.qcow2' });
    const refusal = { type: 'Refused', details: { code: 'volume-not-in-chain' } };
    expect(await failureOf(handle)).toMatchObject(refusal);
    expect(vm.effects).toEqual([]);
    const events = await bench.events(vm);
    expect(events.map(({ kind }) => kind)).toEqual(['started', 'refused']);
    expect(await bench.status(handle)).toMatchObject({ phase: 'finished' });
  });

  it('holds when the views of the chain differ, and touches nothing', async () => {
    const vm = bench.addVm();
    vm.disagreement = 'the live XML names a, the persistent one b';
    const handle = await bench.merge(vm, cache);
    const found = { type: 'Hold', details: { code: 'divergent-chain', now: vm.disagreement } };
    expect(await failureOf(handle)).toMatchObject(found);
    expect(vm.effects).toEqual([]);
  });

  it('gives up when the job is lost four times, and leaves the chain and no record', async () => {
    const vm = bench.addVm();
    vm.jobsToLose = 4;
    const handle = await bench.merge(vm, cache);
    expect(await failureOf(handle)).toMatchObject({ type: 'Retry', details: { code: 'job-lost' } });
    expect(vm.effects.filter((effect) => effect === 'start')).toHaveLength(4);
    expect(vm).toMatchObject({ record: null, job: null });
    expect(vm.paths()).toHaveLength(2);
    expect(vm.files.size).toBe(2);
  });

  it('goes on when the job is lost three times', async () => {
    const vm = bench.addVm();
    vm.jobsToLose = 3;
    const handle = await bench.merge(vm, cache);
    expect(await handle.result()).toMatchObject({ outcome: 'merged' });
  });

  it('awaits READY again when QEMU refuses the pivot', async () => {
    const vm = bench.addVm();
    vm.pivotsToRefuse = 2;
    const handle = await bench.merge(vm, cache);
    expect(await handle.result()).toMatchObject({ outcome: 'merged' });
    expect(vm.calls.filter((call) => call === 'ensurePivoted')).toHaveLength(3);
  });

  it('fails with the words of libvirt when no commit can start', async () => {
    const vm = bench.addVm();
    vm.commitRefusal = 'Permission denied';
    const handle = await bench.merge(vm, cache);
    const failure = await failureOf(handle);
    expect(failure).toMatchObject({ type: 'Retry', details: { code: 'command-failed' } });
    expect(failure?.details.now).toContain('Permission denied');
    expect(vm.record).toBeNull();
    expect((await bench.events(vm)).map(({ kind }) => kind)).toEqual(['started', 'failed']);
  });
});
