/**
 * A step that a tool refuses for good ends a merge before its point of no return, with the undo;
 * after it the merge tells that at once, and is completed once a person has fixed it. Generated:
 * each step of a merge, live and cold, is the one that fails.
 */
import { expect, it } from '@jest/globals';
import { failureDetails, givenUp } from '../../../workflows/operation/failures.ts';
import type { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { CACHES, startBench, type MergeHandle } from '../../support/workflow-bench.ts';

const bench = use('the bench', startBench);
const [CACHE] = CACHES;

const failureOf = async (handle: MergeHandle) =>
  failureDetails(await handle.result().catch((error: unknown) => error));
const refusal = () =>
  givenUp({ attempted: 'a step', now: 'Operation not permitted, which lasts', next: 'Fix that' });

const SWITCHES = { live: 'ensurePivoted', cold: 'ensureColdSwitched' } as const;
type Mode = keyof typeof SWITCHES;

function addVm(mode: Mode): SimulatedVm {
  const vm = bench.addVm();
  vm.snapshots = [{ name: 's1', action: 'delete' }];
  if (mode === 'cold') vm.stop('shut off (destroyed)');
  return vm;
}

/** The steps of an undisturbed merge, in order. */
async function stepsOf(mode: Mode): Promise<string[]> {
  const vm = addVm(mode);
  await (await bench.merge(vm, CACHE)).result();
  return [...new Set(vm.calls)];
}

/** This step fails as long as `isBroken` says so. */
function breakStep(vm: SimulatedVm, step: string, isBroken: () => boolean): void {
  vm.door = (name, run) => (name === step && isBroken() ? Promise.reject(refusal()) : run());
}

it.each(['live', 'cold'] as const)(
  'In a %s merge, at each step before the switch',
  async (mode) => {
    const steps = await stepsOf(mode);
    const before = steps.slice(0, steps.indexOf(SWITCHES[mode]));
    expect(before.length).toBeGreaterThan(1);
    for (const step of before) {
      const vm = addVm(mode);
      breakStep(vm, step, () => true);
      const failure = await failureOf(await bench.merge(vm, CACHE));
      expect([step, failure?.details.code]).toEqual([step, 'command-failed']);
      expect(vm.paths()).toEqual([vm.path(0), vm.path(1)]);
      expect(vm.record).toBeNull();
    }
  },
);

it.each(['live', 'cold'] as const)(
  'In a %s merge, at each step from the switch on',
  async (mode) => {
    const steps = await stepsOf(mode);
    const after = steps.slice(steps.indexOf(SWITCHES[mode]));
    expect(after.length).toBeGreaterThan(4);
    for (const step of after) {
      const vm = addVm(mode);
      let isBroken = true;
      breakStep(vm, step, () => isBroken);
      const handle = await bench.merge(vm, CACHE);
      const stuck = () => bench.status(handle).then((status) => status.stuck ?? undefined);
      const told = await waitUntil(`${step} to be told`, stuck);
      expect(told).toContain('Operation not permitted');
      expect(told).toContain('chattr -i');
      isBroken = false;
      expect(await handle.result()).toMatchObject({ outcome: 'merged' });
      expect(vm.paths()).toEqual([vm.path(0)]);
      expect((await bench.status(handle)).stuck).toBeNull();
      const events = await bench.events(vm);
      expect(events.map(({ kind }) => kind)).toEqual(['started', 'stuck', 'merged']);
    }
  },
);

it('A cold switch that is refused for good ends the merge, which leaves the chain', async () => {
  const vm = addVm('cold');
  vm.door = (name, run) =>
    name === 'ensureColdSwitched'
      ? (Promise.resolve({ outcome: 'refused', reason: 'XML error: no' }) as ReturnType<typeof run>)
      : run();
  const handle = await bench.merge(vm, CACHE);
  const failure = await failureOf(handle);
  expect(failure).toMatchObject({ type: 'Retry', details: { code: 'command-failed' } });
  expect(failure?.details.now).toContain('XML error: no');
  expect(vm.paths()).toEqual([vm.path(0), vm.path(1)]);
  expect(vm.record).toBeNull();
});
