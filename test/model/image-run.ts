/** One run of the model of images: how it begins, what is drawn, and how it ends. */
import fc from 'fast-check';
import { CACHES, type Bench } from '../support/workflow-bench.ts';
import { waitUntil } from '../support/wait-until.ts';
import { happen, isPossible, type ImageAction, type WorldDeed } from './image-actions.ts';
import { leftoversOf } from './image-checks.ts';
import type { Fate } from './stepped-agent.ts';
import { TriedImage, type Manner } from './tried-image.ts';
import type { Pool, Role, Wish } from './tried-operation.ts';

export const MANNER: Manner = { verify: 'full', wipe: false };

/** A VM that is off, with one layer above its base; a move to the vault has been asked for. */
export async function openImage(bench: Bench, manner: Manner): Promise<TriedImage> {
  const vm = bench.addVm();
  Object.assign(vm, { copyMs: 100, readyLagMs: 30 });
  vm.snapshots = [{ name: 's1', action: 'delete' }];
  vm.machine.standStill();
  vm.fillLayers();
  vm.stop('shut off (destroyed)');
  const world = new TriedImage(bench, CACHES[0], vm, manner);
  await world.ask({ what: 'move', to: 'vault' });
  return world;
}

/** A shrunk run: exactly these actions, then the healing. */
export async function play(
  bench: Bench,
  actions: readonly ImageAction[],
  manner: Partial<Manner> = {},
): Promise<TriedImage> {
  const world = await openImage(bench, { ...MANNER, ...manner });
  await orGiveUp(world, async () => {
    for (const action of actions) {
      if (!isPossible(world, action)) throw new Error(`not possible: ${JSON.stringify(action)}`);
      await happen(world, action);
    }
    await heal(world);
  });
  return world;
}

/** A run that fails leaves nothing behind that waits for it. */
export async function orGiveUp(world: TriedImage, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    await world.giveUp();
    throw error;
  }
}

/** All faults end, whatever runs ends, and what was ended by force is asked for again. */
export async function heal(world: TriedImage): Promise<void> {
  const { vm } = world;
  const pools: Pool[] = ['images', 'vault'];
  for (const pool of pools) {
    const fix = { do: 'give name back', pool } as const;
    if (isPossible(world, fix)) await happen(world, fix);
  }
  for (const deed of ['pool back', 'free', 'drop clone', 'shut down'] as const) {
    if (isPossible(world, { do: deed })) await happen(world, { do: deed });
  }
  vm.machine.goOn();
  world.open();
  await ended(world);
  await repeat(world);
  // What was asked for is possible: to the other pool, and down to one volume.
  removeGranted(world);
  const to = vm.persistentPaths()[0]?.startsWith('/images/') ? 'vault' : 'images';
  await fulfil(world, { what: 'move', to });
  await fulfil(world, { what: 'merge' });
  checkNothingElse(world);
  vm.machine.start();
  world.check();
  if (vm.state !== 'running') throw new Error('the VM cannot start');
}

async function ended(world: TriedImage): Promise<void> {
  const busy = () => world.operations.filter((op) => op.isRunning).map(({ id }) => id);
  const what = () => `${busy().join(', ')} to end (${world.vm.calls.slice(-4).join(', ')})`;
  do {
    await waitUntil(what, () => busy().length === 0, { timeoutMs: 30_000, intervalMs: 5 });
    await world.settle();
  } while (busy().length > 0);
  for (const { report } of world.operations) {
    if (!report?.removal) continue;
    const isOver = () => world.operations.some((op) => op.id === report.removal && !op.isRunning);
    await waitUntil(`${report.removal} to end`, isOver, { timeoutMs: 30_000, intervalMs: 5 });
  }
  await world.settle();
  world.check();
}

/** Terminated operations have left things, which the same request finds. */
async function repeat(world: TriedImage): Promise<void> {
  const wishes = new Map<string, Wish>();
  for (const { wish, id } of world.operations) {
    if (wish && wish.what !== 'rm') wishes.set(`${id} ${JSON.stringify(wish)}`, wish);
  }
  for (const [key, wish] of wishes) {
    const [id = ''] = key.split(' ');
    const pool = 'to' in wish ? wish.to : undefined;
    const owed = pool ? leftoversOf(world.vm, id, pool).length > 0 : world.vm.record !== null;
    if (!owed) continue;
    await world.ask(wish);
    await ended(world);
  }
}

/** What lies in the way of a move, and is its user's own. */
function removeGranted({ vm, granted }: TriedImage): void {
  const chain = vm.persistentPaths();
  for (const path of [...vm.files]) {
    const isOwn = granted.has(vm.files.identity(path) ?? '') && !chain.includes(path);
    if (isOwn) vm.files.unlink(path);
  }
}

async function fulfil(world: TriedImage, wish: Wish): Promise<void> {
  await world.ask(wish);
  await ended(world);
  const { end } = world.operations.findLast(({ role }) => role === 'disk') ?? {};
  if (end === 'moved' || end === 'merged' || end === 'already-done') return;
  throw new Error(`${JSON.stringify(wish)} ended as ${end}`);
}

/** At the end nothing else is left (I10). */
function checkNothingElse({ vm }: TriedImage): void {
  const chain = vm.persistentPaths();
  const extra = [...vm.files].filter((path) => !chain.includes(path));
  const { copiers } = vm.images;
  const found = [...extra, ...[...copiers.keys()].map((job) => `a hold of ${job}`)];
  if (vm.record) found.push('a record');
  if (found.length > 0) throw new Error(`left at the end: ${found.join(', ')}`);
}

class ActionCommand implements fc.AsyncCommand<TriedImage, TriedImage> {
  readonly action: ImageAction;
  constructor(action: ImageAction) {
    this.action = action;
  }
  check(world: Readonly<TriedImage>): boolean {
    return isPossible(world as TriedImage, this.action);
  }
  run(_: TriedImage, world: TriedImage): Promise<void> {
    return happen(world, this.action);
  }
  toString(): string {
    return JSON.stringify(this.action);
  }
}

const role = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Role>('disk') },
  { weight: 4, arbitrary: fc.constantFrom<Role>('base', 'rm', 'removal', 'undo') },
);
const pool = fc.constantFrom<Pool>('images', 'vault');
const named = <T extends string>(name: T) => fc.constant(name);
const bare = (...names: WorldDeed[]) => fc.record({ do: fc.constantFrom(...names) });
const count = fc.integer({ min: 1, max: 8 });
const fate = fc.constantFrom<Fate>('before', 'unreported', 'twice', 'agent', 'agent late');

const wish: fc.Arbitrary<Wish> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ what: named('move'), to: pool }) },
  { weight: 2, arbitrary: fc.record({ what: named('merge') }) },
  { weight: 2, arbitrary: fc.record({ what: named('copy'), to: pool }) },
  { weight: 2, arbitrary: fc.record({ what: named('copy base'), from: pool, to: pool }) },
  { weight: 2, arbitrary: fc.record({ what: named('rm'), from: pool, layer: fc.nat(1) }) },
);

const action: fc.Arbitrary<ImageAction> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: named('ask'), wish }) },
  { weight: 16, arbitrary: fc.record({ do: named('steps'), role, count }) },
  { weight: 10, arbitrary: fc.record({ do: named('step'), role, fate, which: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ do: named('cancel'), role }) },
  { weight: 2, arbitrary: fc.record({ do: named('terminate'), role }) },
  { weight: 2, arbitrary: fc.record({ do: named('pass'), ms: fc.constantFrom(20, 150) }) },
  { weight: 2, arbitrary: fc.record({ do: named('write'), block: fc.nat(3) }) },
  { weight: 5, arbitrary: bare('start VM', 'shut down', 'kill QEMU', 'flush') },
  { weight: 2, arbitrary: bare('fill', 'free') },
  { weight: 3, arbitrary: bare('kill copier', 'drop clone', 'pool back') },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('pool away', 'take name', 'give name back', 'clone'),
      pool,
    }),
  },
);

export const imageCommands = (maxCommands: number, replayPath?: string) =>
  fc.commands([action.map((drawn) => new ActionCommand(drawn))], {
    maxCommands,
    size: 'max',
    ...(replayPath ? { replayPath } : {}),
  });

export const manner: fc.Arbitrary<Manner> = fc.record({
  verify: fc.constantFrom('full', 'none'),
  wipe: fc.boolean(),
});
