/** The model of merges: what is drawn, how a run begins, and how it ends. */
import fc from 'fast-check';
import { CACHES, type Bench } from '../support/workflow-bench.ts';
import type { SimulatedVm } from '../support/simulator/simulated-vm.ts';
import type { Model } from './engine.ts';
import { deeds, type Action, type Bare, type Details } from './merge-actions.ts';
import { heal } from './merge-healing.ts';
import type { Fate } from './stepped-agent.ts';
import { TriedDisk, TriedVm, type Wish } from './tried-disk.ts';

export interface Setting {
  wishes: readonly [Wish, Wish];
  /** The VM is down at first. */
  isOff: boolean;
  /** It stays down when all faults end. */
  leaveOff: boolean;
}

const ACTIVE: Wish = { layers: 1, inner: false, request: {} };

/** Two disks of one VM; the merge of the first has been asked for. */
async function open(bench: Bench, { wishes, isOff }: Setting): Promise<TriedVm> {
  const first = bench.addVm(wishes[0].layers);
  const second = bench.addDisk(first.machine, wishes[1].layers);
  first.machine.standStill();
  const tried = (vm: SimulatedVm, wish: Wish) => new TriedDisk(bench, CACHES[0], vm, wish);
  const world = new TriedVm([tried(first, wishes[0]), tried(second, wishes[1])]);
  for (const { vm } of world.disks) vm.fillLayers();
  if (isOff) first.stop('shut off (destroyed)');
  await world.disks[0].begin();
  return world;
}

const disk = fc.constantFrom(0, 0, 0, 1);
const bare = (...names: Bare[]) => fc.record({ disk, do: fc.constantFrom(...names) });
const count = fc.integer({ min: 1, max: 6 });
const fate = fc.constantFrom<Fate>('before', 'unreported', 'twice', 'agent', 'agent late', 'qemu');
const named = <T extends string>(name: T) => fc.constant(name);

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: bare('start') },
  { weight: 12, arbitrary: fc.record({ disk, do: named('steps'), count }) },
  { weight: 8, arbitrary: fc.record({ disk, do: named('step'), fate, which: fc.nat(1) }) },
  { weight: 3, arbitrary: fc.record({ disk, do: named('write'), block: fc.nat(3) }) },
  { weight: 2, arbitrary: bare('flush') },
  { weight: 3, arbitrary: fc.record({ disk, do: named('pass'), ms: fc.constantFrom(20, 150) }) },
  { weight: 1, arbitrary: bare('shut down') },
  {
    weight: 1,
    arbitrary: fc.record({ disk, do: named('kill QEMU'), unflushedSurvives: fc.boolean() }),
  },
  { weight: 2, arbitrary: bare('start VM') },
  { weight: 2, arbitrary: bare('cancel') },
  { weight: 1, arbitrary: bare('terminate') },
  { weight: 2, arbitrary: bare('foreign job', 'end foreign job', 'fill', 'free') },
  { weight: 4, arbitrary: bare('lose job', 'refuse pivot') },
  {
    weight: 1,
    arbitrary: fc.record({ disk, do: named('limit'), bytesPerSecond: fc.constantFrom(0, 5e6) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      disk,
      do: named('decide'),
      choice: fc.constantFrom<'pivot' | 'keep'>('pivot', 'keep'),
    }),
  },
);

const wish: fc.Arbitrary<Wish> = fc.constantFrom<Wish>(
  ACTIVE,
  { layers: 2, inner: false, request: {} },
  { layers: 2, inner: true, request: {} },
  { layers: 1, inner: false, request: { onVmStop: 'continue' } },
  { layers: 1, inner: false, request: { ifBusy: 'wait', keepVolumes: true } },
  { layers: 1, inner: false, request: { waitForDecision: true } },
  { layers: 1, inner: false, request: { keepOverlay: true } },
);

const given: fc.Arbitrary<Setting> = fc.record({
  wishes: fc.tuple(wish, wish),
  isOff: fc.nat(3).map((n) => n === 3),
  leaveOff: fc.nat(3).map((n) => n === 3),
});

export const mergeModel: Model<TriedVm, TriedDisk, Details, Setting> = {
  deeds,
  actorOf: ({ disks }, { disk }) => disks[disk] as TriedDisk,
  action,
  given,
  usual: { wishes: [ACTIVE, ACTIVE], isOff: false, leaveOff: false },
  open,
  heal: ({ disks }, { leaveOff }) => heal(disks, leaveOff),
};
