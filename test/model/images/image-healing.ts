/** The end of a run of images: all faults end, and what is asked for is fulfilled. */
import type { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { happenIfPossible } from '../engine.ts';
import { imageActions } from './image-actions.ts';
import { leftoversOf } from './image-checks.ts';
import type { Pool, Wish } from './image-operation.ts';
import type { TriedImage } from './tried-image.ts';

/** All faults end, whatever runs ends, and what was ended by force is asked for again. */
export async function heal(world: TriedImage): Promise<void> {
  const { vm } = world;
  const pools: Pool[] = ['images', 'vault'];
  for (const pool of pools) {
    await happenIfPossible(imageActions, world, { do: 'give name back', pool });
  }
  for (const deed of ['pool back', 'free', 'drop clone', 'shut down'] as const) {
    await happenIfPossible(imageActions, world, { do: deed });
  }
  vm.machine.goOn();
  world.open();
  await ended(world);
  await repeat(world);
  // What was asked for is possible: to the other pool, and down to one volume.
  removeGranted(world);
  await fulfil(world, { what: 'move', to: otherThan(vm) });
  await fulfil(world, { what: 'merge' });
  checkNothingElse(world);
  vm.machine.start();
  world.check();
  if (vm.state !== 'running') throw new Error('the VM cannot start');
  await moveLive(world);
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

/**
 * Terminated operations have left things, which the same request finds. One may be refused until
 * what began after it is completed, and is asked for once more then.
 */
async function repeat(world: TriedImage): Promise<void> {
  const wishes = new Map<string, Wish>();
  for (const { wish, id } of world.operations) {
    if (wish && wish.what !== 'rm') wishes.set(`${id} ${JSON.stringify(wish)}`, wish);
  }
  for (const [key, wish] of [...wishes, ...wishes]) {
    const [id = ''] = key.split(' ');
    const pool = 'to' in wish ? wish.to : undefined;
    const owed = pool ? leftoversOf(world.vm, id, pool).length > 0 : world.vm.record !== null;
    if (!owed) continue;
    await world.ask(wish);
    await ended(world);
  }
}

/** Once more, while it runs: it runs on, on the copies alone. */
async function moveLive(world: TriedImage): Promise<void> {
  const { vm } = world;
  vm.write(0);
  await fulfil(world, { what: 'move', to: otherThan(vm) });
  if (vm.state !== 'running') throw new Error('the VM does not run any more');
  checkNothingElse(world);
}

const otherThan = (vm: SimulatedVm): Pool =>
  vm.persistentPaths()[0]?.startsWith('/images/') ? 'vault' : 'images';

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
  if (vm.mirror) found.push('a mirror');
  if (found.length > 0) throw new Error(`left at the end: ${found.join(', ')}`);
}
