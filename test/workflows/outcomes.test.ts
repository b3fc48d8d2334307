/** Every way a merge ends, against a host in memory. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startBench, CACHES, type Bench } from '../support/workflow-bench.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.close());

describe.each(CACHES)('LiveMerge, $cache,', (cache) => {
  it('merges the active layer: record, start, pivot, prove, delete, forget', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache);
    expect(await handle.result()).toMatchObject({ outcome: 'merged', mode: 'active', stallMs: 12 });
    expect(vm.effects).toEqual(['record', 'start', 'pivot', 'prove', 'delete', 'forget']);
  });
});
