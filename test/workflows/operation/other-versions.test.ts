/**
 * Agents and orchestrators of other versions: what an older agent does not know waits for its
 * update, in every step. The agents here have the door that real ones have.
 */
import { describe, expect, it } from '@jest/globals';
import { Context } from '@temporalio/activity';
import { implement } from '../../../activities/door/implement.ts';
import { agentOptions, type RoleContext } from '../../../worker/roles/role.ts';
import { decideUpdate, hostQueue, spmQueue } from '../../../workflows/operation/contract.ts';
import type { Table } from '../../../workflows/operation/activities.ts';
import type { AgentActivities } from '../../support/simulator/simulated-host.ts';
import { CACHES, startBench, type MergeHandle } from '../../support/workflow-bench.ts';
import { tables } from '../../support/tables.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const bench = use('the bench', startBench);
const [CACHE] = CACHES;

type Run = (input: object) => Promise<unknown>;
/** Stands before the door of each step. */
type Before = (run: Run, input: object) => unknown;

/** The simulated activities, and the options of real agents, which tell after 0.7 s. */
function agentOf(before: Before, without: (keyof AgentActivities)[] = []) {
  const table: Record<string, unknown> = { ...tables.host, ...tables.storage };
  const own = Object.entries(bench.activities).filter(([name]) => name in table);
  const declared = own.map(([name]) => [name, table[name]]);
  const served = implement(
    Object.fromEntries(declared) as Table,
    null,
    Object.fromEntries(own) as never,
  );
  const steps = Object.entries(served as Record<string, Run>)
    .filter(([name]) => !(without as string[]).includes(name))
    .map(([name, run]) => [name, (input: object) => before(run, input)]);
  const context = { config: { host: 'older', stuckSeconds: 0.7 } } as RoleContext;
  return agentOptions(context, 'host', Object.fromEntries(steps) as object);
}

let count = 0;
/** A VM in a pool of its own, on a host of its own: both have this agent. */
async function placeAt({ activities, interceptors = {} }: ReturnType<typeof agentOf>) {
  const [host, pool, other] = [`older${++count}`, `pool${count}`, `other${count}`];
  const vm = bench.addVm(1, pool);
  const queues = [
    hostQueue(host),
    ...[pool, other].map((of) => spmQueue({ pool: of, identity: '' })),
  ];
  const stops = queues.map((queue) => bench.serve(queue, activities, { interceptors }));
  const [stop] = await Promise.all(stops);
  const update = async () => {
    await stop?.();
    await bench.startHostAgent(host);
  };
  return { vm, host, other, update, merge: () => bench.merge(vm, CACHE, { host }) };
}
type Place = Awaited<ReturnType<typeof placeAt>>;

const untilTold = (handle: MergeHandle, words: string) =>
  waitUntil('that to be told', async () => {
    return (await bench.status(handle)).stuck?.includes(words);
  });

const down = ({ vm }: Place) => vm.stop('shut off (destroyed)');
const operations = {
  'a merge': ({ merge }: Place) => merge(),
  'a merge, VM down': (place: Place) => (down(place), place.merge()),
  'a move, VM down': (place: Place) => {
    const { vm, host, other } = place;
    down(place);
    const image = { kind: 'disk', vm: vm.name, disk: 'vda' } as const;
    return bench.operate(CACHE, { operation: 'MoveImage', host, image, to: other });
  },
  'a snapshot': ({ vm, host }: Place) =>
    bench.operate(CACHE, { operation: 'CreateSnapshot', host, vm: vm.name, name: 's1' }),
};

describe('An older agent', () => {
  it.each(Object.entries(operations))(
    'begins no step with an unknown field: %s',
    async (_, start) => {
      const updated: string[] = [];
      const agent = agentOf((run, input) => {
        const { attempt, activityType } = Context.current().info;
        if (attempt === 1) return run({ ...input, ofTheNextVersion: 1 });
        updated.push(activityType);
        return run(input);
      });
      const place = await placeAt(agent);
      await (await start(place)).result();
      const { vm } = place;
      // Each step was refused at first, and begun once.
      expect(vm.calls).toEqual(updated);
      expect(vm.calls.filter((step) => step.startsWith('ensure')).length).toBeGreaterThan(3);
      expect(vm.violations).toEqual([]);
    },
  );

  it.each(['observeMergePlan', 'ensurePivoted'] as const)(
    'without %s is told by it, and the merge goes on once it is updated',
    async (step) => {
      const { vm, update, merge } = await placeAt(agentOf((run, input) => run(input), [step]));
      const handle = await merge();
      await untilTold(handle, 'it does not know that step');
      expect(vm.effects).not.toContain('pivot');
      await update();
      expect(await handle.result()).toMatchObject({ outcome: 'merged' });
      expect(await bench.status(handle)).toMatchObject({ stuck: null });
    },
  );

  it('does not hold up a cancel', async () => {
    const agent = agentOf((run, input) => run(input), ['ensureCommitStarted']);
    const { vm, merge } = await placeAt(agent);
    const handle = await merge();
    await untilTold(handle, 'it does not know that step');
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    expect(vm.paths()).toHaveLength(2);
  });
});

it('What a newer agent says besides is left out by an older orchestrator', async () => {
  const agent = agentOf(async (run, input) => {
    const result = await run(input);
    return typeof result === 'object' ? { ...result, ofTheNextVersion: 1 } : result;
  });
  const { merge } = await placeAt(agent);
  const result = await (await merge()).result();
  expect(result).toMatchObject({ outcome: 'merged' });
  expect(result).not.toHaveProperty('ofTheNextVersion');
});

it('A merge that runs waits untouched while its orchestrator has another workflow', async () => {
  const queue = 'replaced';
  const vm = bench.addVm();
  const stopOld = await bench.orchestrate(queue, (code) => code);
  const handle = await bench.merge(
    vm,
    { ...CACHE, cache: queue as never },
    { waitForDecision: true },
  );
  await bench.untilPhase(handle, 'waiting for a decision');
  await stopOld();
  const [before, calls] = [[...vm.effects], [...vm.calls]];
  const stopNew = await bench.orchestrate(queue, (code) =>
    code.replace('op.host.observeMergePlan(', 'op.host.observeChain('),
  );
  await expect(bench.status(handle)).rejects.toThrow(/[Nn]ondeterminism/);
  await stopNew();
  expect([vm.effects, vm.calls]).toEqual([before, calls]);
  await bench.orchestrate(queue, (code) => code);
  await handle.executeUpdate(decideUpdate, { args: ['pivot'] });
  expect(await handle.result()).toMatchObject({ outcome: 'merged' });
});
