/**
 * Each step is given up by the server while it runs, as when the server's clock is set forward: all
 * operations at once, and the attempt that was given up goes on beside the one after it.
 */
import { expect, it } from '@jest/globals';
import { Context } from '@temporalio/activity';
import { hostQueue, spmQueue } from '../../../workflows/operation/contract.ts';
import { CACHES, startBench } from '../../support/workflow-bench.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const bench = use('the bench', startBench);
const [CACHE] = CACHES;

const live = [
  ...['observeMergePlan', 'ensureCommitStarted', 'awaitCommitReady', 'ensurePivoted'],
  ...['observeMergeProof', 'ensureVolumesAbsent', 'ensureJobForgotten'],
];
const cold = ['ensureColdCommitted', 'ensureColdSwitched'];

/** What is not the same when it is done again. */
const ONCE = ['start', 'pivot', 'cold-commit', 'cold-switch'];

type Run = (input: object) => Promise<unknown>;

/** The first attempt of this step begins, without a beat, together with the second one. */
function agentWith(step: string, second: PromiseWithResolvers<void>) {
  const given = bench.activities as unknown as Record<string, Run>;
  const overlapped = (input: object) => {
    if (Context.current().info.attempt > 1) second.resolve();
    return second.promise.then(() => given[step]?.(input));
  };
  return { ...given, [step]: overlapped };
}

async function mergeOverlapping(step: string) {
  const [host, pool] = [`host-of-${step}`, `pool-of-${step}`];
  const vm = bench.addVm(1, pool);
  if (cold.includes(step)) vm.stop('shut off (destroyed)');
  const second = Promise.withResolvers<void>();
  const agent = agentWith(step, second);
  const queues = [hostQueue(host), spmQueue({ pool, identity: '' })];
  await Promise.all(queues.map((queue) => bench.serve(queue, agent)));
  const merge = await bench.merge(vm, CACHE, { host });
  const hasEnded = async () => (await merge.describe()).status.name !== 'RUNNING';
  await waitUntil(`the merge to end, ${step}`, hasEnded).finally(second.resolve);
  const { outcome } = await merge.result();
  const attempts = vm.calls.filter((name) => name === step).length;
  const { violations } = vm;
  const once = vm.effects.filter((name) => ONCE.includes(name));
  return { step, outcome, attempts, isOnce: new Set(once).size === once.length, violations };
}

it('Every operation goes on, and nothing is switched twice', async () => {
  const ended = await Promise.all([...live, ...cold].map(mergeOverlapping));
  const good = { outcome: 'merged', attempts: 2, isOnce: true, violations: [] };
  expect(ended).toEqual([...live, ...cold].map((step) => ({ step, ...good })));
});
