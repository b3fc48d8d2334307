/** The model of snapshots: what is drawn, how a run begins, and how it ends. */
import fc from 'fast-check';
import { CACHES, type Bench } from '../../support/workflow-bench.ts';
import type { Model } from '../engine.ts';
import type { Fate } from '../stepped-agent.ts';
import { snapshotActions, type Action, type Bare, type Details } from './snapshot-actions.ts';
import { heal } from './snapshot-healing.ts';
import {
  INNER_NAMES,
  LONG_SECONDS,
  NAMES,
  type Disk,
  type Which,
  type Wish,
} from './snapshot-operation.ts';
import { TriedSnapshots } from './tried-snapshots.ts';

export interface Setting {
  /** The VM is down at first. */
  isOff: boolean;
  /** Taken before anything happens. */
  taken: readonly (typeof NAMES)[number][];
}

async function open(bench: Bench, { isOff, taken }: Setting): Promise<TriedSnapshots> {
  const first = bench.addVm(0);
  const second = bench.addDisk(first.machine, 0, 'vault');
  first.machine.standStill();
  const world = new TriedSnapshots(bench, CACHES[0], [first, second]);
  for (const vm of world.disks) vm.fillLayers();
  for (const name of taken) {
    await world.ask({ what: 'create', name });
    while (world.running({ role: 'vm' })?.agent.step('well')) await world.settle();
    for (const vm of world.disks) for (const block of [0, 2]) vm.write(block);
  }
  if (isOff) first.machine.stop('shut off (shutdown)');
  return world;
}

const role = fc.constantFrom<Which['role']>(
  ...(['any', 'any', 'any', 'any', 'any', 'vm', 'vda', 'vdb', 'expiry'] as const),
);
const disk = fc.constantFrom<Disk>('vda', 'vdb');
const name = fc.constantFrom(...NAMES);
const innerName = fc.constantFrom(...INNER_NAMES);
const named = <T extends string>(word: T) => fc.constant(word);
const bare = (...names: Bare[]) => fc.record({ do: fc.constantFrom(...names) });
const count = fc.integer({ min: 1, max: 8 });
const keepSeconds = fc.constantFrom(1, LONG_SECONDS, LONG_SECONDS);
const fate = fc.constantFrom<Fate>(
  ...(['before', 'unreported', 'twice', 'agent', 'agent late', 'agent last'] as const),
  ...(['qemu', 'libvirtd'] as const),
);

const wish: fc.Arbitrary<Wish> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ what: named('create'), name }) },
  {
    weight: 3,
    arbitrary: fc.record({
      what: named('delete'),
      name,
      scope: fc.constantFrom('snapshot', 'snapshot', 'children', 'children-only'),
      atOnce: fc.constantFrom<1 | 2>(1, 2),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ what: named('revert'), name, keepSeconds, start: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ what: named('undo'), keepSeconds }) },
  { weight: 2, arbitrary: fc.record({ what: named('create inside'), name: innerName }) },
  {
    weight: 2,
    arbitrary: fc.record({
      what: named('delete inside'),
      name: innerName,
      disk: fc.constantFrom<Disk | null>(null, null, 'vda', 'vdb'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ what: named('merge'), disk, snapshot: fc.option(name) }),
  },
);

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 9, arbitrary: fc.record({ do: named('ask'), wish }) },
  { weight: 16, arbitrary: fc.record({ do: named('steps'), role, count }) },
  { weight: 12, arbitrary: fc.record({ do: named('step'), role, fate, which: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: named('cancel'), role }) },
  { weight: 3, arbitrary: fc.record({ do: named('terminate'), role }) },
  { weight: 2, arbitrary: fc.record({ do: named('pass'), ms: fc.constantFrom(20, 150, 120_000) }) },
  { weight: 4, arbitrary: fc.record({ do: named('write'), disk, block: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: named('flush'), disk }) },
  { weight: 4, arbitrary: bare('start VM', 'shut down', 'shut down') },
  { weight: 1, arbitrary: fc.record({ do: named('kill QEMU'), unflushedSurvives: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('snapshot by virsh', 'forget by virsh'),
      name,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: named('qemu-img snapshot'),
      disk,
      name: innerName,
      deletes: fc.boolean(),
    }),
  },
);

const given: fc.Arbitrary<Setting> = fc.record({
  isOff: fc.boolean(),
  taken: fc.constantFrom<Setting['taken']>([], ['s1'], ['s1', 's2']),
});

export const snapshotModel: Model<TriedSnapshots, TriedSnapshots, Details, Setting> = {
  ...snapshotActions,
  action,
  given,
  usual: { isOff: false, taken: ['s1'] },
  open,
  heal,
};
