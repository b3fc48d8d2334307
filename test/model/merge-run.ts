/** One run of the model: wishes and actions as data, so that a shrunk run becomes a named test. */
import fc from 'fast-check';
import { CACHES, type Bench } from '../support/workflow-bench.ts';
import type { SimulatedVm } from '../support/simulator/simulated-vm.ts';
import { happen, isPossible, type Action, type Deed, type World } from './actions.ts';
import { heal } from './healing.ts';
import { TriedDisk, type Wish } from './tried-disk.ts';
import type { Fate } from './stepped-agent.ts';

export interface Setting {
  wishes: readonly [Wish, Wish];
  /** The VM is down at first. */
  isOff: boolean;
  /** It stays down when all faults end. */
  leaveOff: boolean;
}

export const ACTIVE: Wish = { layers: 1, inner: false, request: {} };
export const SETTING: Setting = { wishes: [ACTIVE, ACTIVE], isOff: false, leaveOff: false };

/** Two disks of one VM; the merge of the first has been asked for. */
export async function openWorld(bench: Bench, { wishes, isOff }: Setting): Promise<World> {
  const first = bench.addVm(wishes[0].layers);
  const second = bench.addDisk(first.machine, wishes[1].layers);
  first.machine.standStill();
  const tried = (vm: SimulatedVm, wish: Wish) => new TriedDisk(bench, CACHES[0], vm, wish);
  const world = [tried(first, wishes[0]), tried(second, wishes[1])] as const;
  for (const { vm } of world) vm.fillLayers();
  if (isOff) first.stop('shut off (destroyed)');
  await world[0].begin();
  return world;
}

/** A shrunk run: exactly these actions, then the healing. */
export async function play(
  bench: Bench,
  actions: readonly Action[],
  setting: Partial<Setting> = {},
): Promise<World> {
  const whole = { ...SETTING, ...setting };
  const world = await openWorld(bench, whole);
  for (const action of actions) {
    if (!isPossible(world, action)) throw new Error(`not possible: ${JSON.stringify(action)}`);
    await happen(world, action);
  }
  await heal(world, whole.leaveOff);
  return world;
}

class ActionCommand implements fc.AsyncCommand<World, World> {
  readonly action: Action;
  constructor(action: Action) {
    this.action = action;
  }
  check(world: Readonly<World>): boolean {
    return isPossible(world, this.action);
  }
  run(_: World, world: World): Promise<void> {
    return happen(world, this.action);
  }
  toString(): string {
    return JSON.stringify(this.action);
  }
}

const disk = fc.constantFrom(0, 0, 0, 1);
const bare = (...names: Deed[]) => fc.record({ disk, do: fc.constantFrom(...names) });
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

export const commands = (maxCommands: number, replayPath?: string) =>
  fc.commands([action.map((drawn) => new ActionCommand(drawn))], {
    maxCommands,
    size: 'max',
    ...(replayPath ? { replayPath } : {}),
  });

const wish: fc.Arbitrary<Wish> = fc.constantFrom<Wish>(
  ACTIVE,
  { layers: 2, inner: false, request: {} },
  { layers: 2, inner: true, request: {} },
  { layers: 1, inner: false, request: { onVmStop: 'continue' } },
  { layers: 1, inner: false, request: { ifBusy: 'wait', keepVolumes: true } },
  { layers: 1, inner: false, request: { waitForDecision: true } },
  { layers: 1, inner: false, request: { keepOverlay: true } },
);

export const setting: fc.Arbitrary<Setting> = fc.record({
  wishes: fc.tuple(wish, wish),
  isOff: fc.nat(3).map((n) => n === 3),
  leaveOff: fc.nat(3).map((n) => n === 3),
});
