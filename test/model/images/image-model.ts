/** The model of images: what is drawn, how a run begins, and how it ends. */
import fc from 'fast-check';
import { CACHES, type Bench } from '../../support/workflow-bench.ts';
import type { Model } from '../engine.ts';
import { imageActions, type Action, type Bare, type Details } from './image-actions.ts';
import { heal } from './image-healing.ts';
import type { Fate } from '../stepped-agent.ts';
import { TriedImage, type Manner } from './tried-image.ts';
import type { Pool, Role, Wish } from './image-operation.ts';

/** A VM with one layer above its base; a move to the vault has been asked for. */
async function open(bench: Bench, manner: Manner): Promise<TriedImage> {
  const vm = bench.addVm();
  Object.assign(vm, { copyMs: 100, readyLagMs: 30 });
  vm.snapshots = [{ name: 's1', action: 'delete' }];
  vm.machine.standStill();
  vm.fillLayers();
  if (!manner.runs) vm.stop('shut off (destroyed)');
  const world = new TriedImage(bench, CACHES[0], vm, manner);
  await world.ask({ what: 'move', to: 'vault' });
  return world;
}

const role = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Role>('disk') },
  { weight: 4, arbitrary: fc.constantFrom<Role>('base', 'rm', 'removal', 'undo') },
);
const pool = fc.constantFrom<Pool>('images', 'vault');
const named = <T extends string>(name: T) => fc.constant(name);
const bare = (...names: Bare[]) => fc.record({ do: fc.constantFrom(...names) });
const count = fc.integer({ min: 1, max: 8 });
const fate = fc.constantFrom<Fate>(
  ...(['before', 'unreported', 'twice'] as const),
  ...(['agent', 'agent late', 'agent last', 'qemu'] as const),
);

const wish: fc.Arbitrary<Wish> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: named('move'), to: pool }) },
  { weight: 2, arbitrary: fc.record({ what: named('merge') }) },
  { weight: 2, arbitrary: fc.record({ what: named('copy'), to: pool }) },
  { weight: 2, arbitrary: fc.record({ what: named('copy base'), from: pool, to: pool }) },
  { weight: 2, arbitrary: fc.record({ what: named('rm'), from: pool, layer: fc.nat(1) }) },
);

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: named('ask'), wish }) },
  { weight: 16, arbitrary: fc.record({ do: named('steps'), role, count }) },
  { weight: 10, arbitrary: fc.record({ do: named('step'), role, fate, which: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ do: named('cancel'), role }) },
  { weight: 2, arbitrary: fc.record({ do: named('terminate'), role }) },
  { weight: 2, arbitrary: fc.record({ do: named('pass'), ms: fc.constantFrom(20, 150) }) },
  { weight: 2, arbitrary: fc.record({ do: named('write'), block: fc.nat(3) }) },
  { weight: 5, arbitrary: bare('start VM', 'shut down', 'kill QEMU', 'flush') },
  { weight: 2, arbitrary: bare('fill', 'free') },
  { weight: 3, arbitrary: bare('kill copier', 'end mirror', 'drop clone', 'pool back') },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('pool away', 'take name', 'give name back', 'clone'),
      pool,
    }),
  },
);

const given: fc.Arbitrary<Manner> = fc.record({
  verify: fc.constantFrom('full', 'none'),
  wipe: fc.boolean(),
  runs: fc.boolean(),
});

export const imageModel: Model<TriedImage, TriedImage, Details, Manner> = {
  ...imageActions,
  action,
  given,
  usual: { verify: 'full', wipe: false, runs: false },
  open,
  heal,
};
