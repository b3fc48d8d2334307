/** What a merge writes into its history and into the audit log, and that neither grows with its length. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CACHES, startBench, type Bench, type MergeHandle } from '../support/workflow-bench.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.close());

const eventsOf = async (handle: MergeHandle) => (await handle.fetchHistory()).events ?? [];

describe.each(CACHES)('The history of a LiveMerge, $cache,', (cache) => {
  const lengthOf = async (copyMs: number) => {
    const vm = bench.addVm();
    vm.copyMs = copyMs;
    vm.snapshots = [{ name: 's1', action: 'delete' }];
    const handle = await bench.merge(vm, cache);
    await handle.result();
    return (await eventsOf(handle)).length;
  };

  it('has at most 70 events, as many for a long copy as for a short one', async () => {
    const [short, long] = await Promise.all([lengthOf(10), lengthOf(2500)]);
    expect(short).toBeLessThanOrEqual(70);
    expect(long).toBe(short);
  });

  it('names every activity in words that the Web UI shows', async () => {
    const handle = await bench.merge(bench.addVm(), cache);
    await handle.result();
    const scheduled = (await eventsOf(handle)).filter((e) => e.activityTaskScheduledEventAttributes);
    expect(scheduled.length).toBeGreaterThan(5);
    const mute = scheduled.filter((event) => !event.userMetadata?.summary?.data?.length);
    expect(mute).toEqual([]);
  });

  it('closes with every event in the audit log once, in order', async () => {
    const vm = bench.addVm();
    const handle = await bench.merge(vm, cache, { requestedBy: 'alice' });
    await handle.result();
    const events = await bench.events(vm);
    expect(events.map(({ kind, who }) => [kind, who])).toEqual([
      ['started', 'alice'],
      ['merged', 'alice'],
    ]);
    expect(new Set(events.map(({ id }) => id)).size).toBe(2);
    expect(events[1]).toMatchObject({ before: [vm.path(0), vm.path(1)], after: [vm.path(0)] });
  });
});
