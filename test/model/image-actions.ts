/** What can happen to an image and the operations on it, as data: fast-check draws and shrinks. */
import { statusQuery } from '../../workflows/kinds.ts';
import { isReserved } from '../support/simulator/simulated-images.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { Fate } from './stepped-agent.ts';
import type { TriedImage } from './tried-image.ts';
import type { Pool, Role, TriedOperation, Wish } from './tried-operation.ts';

/** What needs no more words. */
export type WorldDeed =
  | ('flush' | 'shut down' | 'kill QEMU' | 'start VM' | 'fill' | 'free')
  | ('kill copier' | 'drop clone' | 'pool back');

export type ImageAction =
  | { do: WorldDeed }
  | { do: 'ask'; wish: Wish }
  | { do: 'step'; role: Role; fate: Fate; which: number }
  | { do: 'steps'; role: Role; count: number }
  | { do: 'cancel' | 'terminate'; role: Role }
  | { do: 'pass'; ms: number }
  | { do: 'write'; block: number }
  | { do: 'pool away' | 'take name' | 'give name back' | 'clone'; pool: Pool };

const nameIn = ({ vm }: TriedImage, pool: Pool) => `/${pool}/${vm.slug}.layer1`;
const cloneOf = ({ vm }: TriedImage) => `/images/${vm.slug}.clone`;

const isForeign = ({ vm, foreign }: TriedImage, path: string) =>
  foreign.has(vm.files.identity(path) ?? '');

/** False for what cannot happen now; such a command is left out. */
export function isPossible(world: TriedImage, action: ImageAction): boolean {
  const { vm } = world;
  const isUp = vm.state === 'running';
  switch (action.do) {
    case 'step':
      return (world.running(action.role)?.agent.waiting().length ?? 0) > 0;
    case 'steps': {
      const agent = world.running(action.role)?.agent;
      return agent !== undefined && agent.waiting().length + agent.inside > 0;
    }
    case 'cancel':
    case 'terminate':
      return world.running(action.role) !== undefined;
    case 'write':
    case 'flush':
    case 'shut down':
    case 'kill QEMU':
      return isUp;
    case 'start VM':
      return vm.machine.mayStart;
    case 'kill copier':
      return vm.images.copiers.size > 0;
    case 'pool away':
      return mayGoAway(world, action.pool);
    case 'pool back':
      return vm.images.away.size > 0;
    case 'take name':
      return !vm.files.has(nameIn(world, action.pool)) && vm.images.away.size === 0;
    case 'give name back':
      return isForeign(world, nameIn(world, action.pool));
    case 'clone':
      return mayClone(world, nameIn(world, action.pool));
    case 'drop clone':
      return vm.files.has(cloneOf(world));
    default:
      return true;
  }
}

/** Only a target that something is reserved in, and that nothing else reads. */
function mayGoAway({ vm, operations }: TriedImage, pool: Pool): boolean {
  const chain = vm.persistentPaths();
  const { reservations, away } = vm.images;
  const isTarget = [...reservations.values()].some(({ plan }) => plan.to.pool === pool);
  const waits = (role: Role) => role === 'disk' || role === 'undo';
  const others = operations.filter((op) => op.isRunning && !waits(op.role));
  const isUsed = chain.some((path) => path.startsWith(`/${pool}/`)) || others.length > 0;
  return isTarget && !isUsed && away.size === 0 && ![...vm.files].some((f) => f.endsWith('.clone'));
}

/**
 * qemu-img asks no agent, and takes no lock. Users do not clone what is still being made, nor
 * what a removal has already found unused.
 */
function mayClone(world: TriedImage, path: string): boolean {
  const { vm } = world;
  const identity = vm.files.identity(path) ?? '';
  const isMerged = world.running('disk')?.wish?.what === 'merge' || vm.record !== null;
  if (identity === '' || vm.files.has(cloneOf(world)) || isMerged) return false;
  const isOurs = !isForeign(world, path) && vm.images.away.size === 0;
  return isOurs && !vm.proven.has(identity) && !isReserved(vm, identity);
}

/** Lets it happen, waits until nothing moves, and checks what must always hold. */
export async function happen(world: TriedImage, action: ImageAction): Promise<void> {
  world.happened++;
  await perform(world, action);
  await world.settle();
  world.check();
}

async function perform(world: TriedImage, action: ImageAction): Promise<void> {
  const { vm } = world;
  switch (action.do) {
    case 'ask':
      return void (await world.ask(action.wish));
    case 'step':
      return void world.running(action.role)?.agent.step(action.fate, action.which);
    case 'steps':
      return goOn(world, action.role, action.count);
    case 'cancel':
    case 'terminate': {
      const operation = world.running(action.role);
      if (!operation) return;
      return action.do === 'cancel' ? cancel(world, operation) : terminate(operation);
    }
    case 'pass':
      return vm.machine.pass(action.ms);
    case 'write':
      return vm.write(action.block);
    case 'pool away':
      return void vm.images.away.add(action.pool);
    case 'take name':
      vm.files.create(nameIn(world, action.pool));
      return void world.foreign.add(vm.files.identity(nameIn(world, action.pool)) ?? '');
    case 'give name back':
      return void vm.files.unlink(nameIn(world, action.pool));
    case 'clone':
      return vm.files.create(cloneOf(world), nameIn(world, action.pool));
    default:
      return performDeed(world, action.do);
  }
}

function performDeed(world: TriedImage, deed: WorldDeed): void {
  const { vm } = world;
  switch (deed) {
    case 'flush':
      return vm.flush();
    case 'shut down':
      return vm.machine.stop('shut off (shutdown)');
    case 'kill QEMU':
      return vm.machine.stop('shut off (crashed)');
    case 'start VM':
      return vm.machine.start();
    case 'fill':
    case 'free':
      return void (vm.freeBytes = deed === 'fill' ? 0 : 1e12);
    case 'kill copier': {
      const [job] = vm.images.copiers.keys();
      return void vm.images.copiers.delete(job ?? '');
    }
    case 'drop clone':
      return void vm.files.unlink(cloneOf(world));
    case 'pool back':
      return vm.images.away.clear();
  }
}

async function cancel({ vm }: TriedImage, operation: TriedOperation): Promise<void> {
  const { handle } = operation;
  vm.switchRefused = false;
  operation.refusesCancel ||= !(await handle.query(statusQuery)).cancel.possible;
  await handle.cancel();
  operation.mustLeave = true;
  // It is answered after the cancel was heard; or the operation is over.
  await handle.query(statusQuery).catch(() => undefined);
}

async function terminate(operation: TriedOperation): Promise<void> {
  await operation.handle.terminate();
  operation.agent.drop();
  const isOver = () => !operation.isRunning && operation.agent.inside === 0;
  await waitUntil('the end', isOver, { intervalMs: 3 });
}

/** Steps without faults; time passes when there is nothing else to do. */
async function goOn(world: TriedImage, role: Role, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const operation = world.running(role);
    if (!operation) return;
    if (!operation.agent.step('well')) world.vm.machine.pass(150);
    await world.settle();
    world.check();
  }
}
