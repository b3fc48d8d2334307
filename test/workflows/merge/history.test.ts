/**
 * What a merge writes into its history and into the audit log, and that neither grows with its
 * length.
 */
import { describe, expect, it } from '@jest/globals';
import { temporal } from '@temporalio/proto';
import { TRIED_CACHES, startBench, type MergeHandle } from '../../support/workflow-bench.ts';
import { use } from '../../support/use.ts';

const bench = use('the bench', startBench);

type Events = NonNullable<Awaited<ReturnType<MergeHandle['fetchHistory']>>['events']>;
const { EventType } = temporal.api.enums.v1;
const eventsOf = async (handle: MergeHandle) => (await handle.fetchHistory()).events ?? [];

describe.each(TRIED_CACHES)('The history of a LiveMerge, $cache,', (cache) => {
  const historyOf = async (copyMs: number) => {
    const vm = bench.addVm();
    vm.copyMs = copyMs;
    vm.snapshots = [{ name: 's1', action: 'delete' }];
    const handle = await bench.merge(vm, cache);
    await handle.result();
    return await eventsOf(handle);
  };
  /** Two things that happen at once share a workflow task, or do not. */
  const steps = (events: Events) =>
    events
      .map(({ eventType }) => EventType[Number(eventType)])
      .filter((type) => !type?.includes('WORKFLOW_TASK'));

  it('has at most 70 events, as many for a long copy as for a short one', async () => {
    const [short, long] = await Promise.all([historyOf(10), historyOf(2500)]);
    expect(Math.max(short.length, long.length)).toBeLessThanOrEqual(70);
    expect(steps(long)).toEqual(steps(short));
  });

  it('names every activity in words that the Web UI shows', async () => {
    const handle = await bench.merge(bench.addVm(), cache);
    await handle.result();
    const events = await eventsOf(handle);
    const scheduled = events.filter((event) => event.activityTaskScheduledEventAttributes);
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
