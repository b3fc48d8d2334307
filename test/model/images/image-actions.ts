/** What can happen to an image and the operations on it. */
import { isReserved } from '../../support/simulator/simulated-images.ts';
import type { Deeds, Named } from '../engine.ts';
import type { Pool, Role, Wish } from './image-operation.ts';
import { operationDeeds, vmDeeds, type OperationDetails, type VmDetails } from '../shared-deeds.ts';
import type { TriedImage } from './tried-image.ts';

/** What needs no more words. */
export type Bare =
  | ('flush' | 'shut down' | 'kill QEMU' | 'start VM' | 'fill' | 'free')
  | ('kill copier' | 'end mirror' | 'drop clone' | 'pool back');
type AtPool = 'pool away' | 'take name' | 'give name back' | 'clone';

interface Asking {
  ask: { wish: Wish };
}
export type Details = OperationDetails<{ role: Role }> &
  VmDetails &
  Record<Bare, object> &
  Record<AtPool, { pool: Pool }> &
  Asking;
export type Action = Named<Details>;

const nameIn = ({ vm }: TriedImage, pool: Pool) => `/${pool}/${vm.slug}.layer1`;
const cloneOf = ({ vm }: TriedImage) => `/images/${vm.slug}.clone`;

const isForeign = ({ vm, foreign }: TriedImage, path: string) =>
  foreign.has(vm.files.identity(path) ?? '');

const deeds: Deeds<TriedImage, Details> = {
  ...operationDeeds<{ role: Role }>(),
  ...vmDeeds,
  ask: { act: (world, { wish }) => world.ask(wish) },
  'kill QEMU': {
    if: ({ vm }) => vm.state === 'running',
    act: ({ vm }) => vm.machine.stop('shut off (crashed)'),
  },
  'start VM': { if: ({ vm }) => vm.machine.mayStart, act: ({ vm }) => vm.machine.start() },
  'kill copier': {
    if: ({ vm }) => vm.images.copiers.size > 0,
    act({ vm }) {
      const [job] = vm.images.copiers.keys();
      vm.images.copiers.delete(job ?? '');
    },
  },
  'end mirror': {
    if: ({ vm }) => vm.mirror !== null,
    act: ({ vm }) => void (vm.mirror = null),
  },
  'pool away': {
    if: (world, { pool }) => mayGoAway(world, pool),
    act: ({ vm }, { pool }) => vm.images.away.add(pool),
  },
  'pool back': {
    if: ({ vm }) => vm.images.away.size > 0,
    act: ({ vm }) => vm.images.away.clear(),
  },
  'take name': {
    if: (world, { pool }) =>
      !world.vm.files.has(nameIn(world, pool)) && world.vm.images.away.size === 0,
    act(world, { pool }) {
      const { vm, foreign } = world;
      vm.files.create(nameIn(world, pool));
      foreign.add(vm.files.identity(nameIn(world, pool)) ?? '');
    },
  },
  'give name back': {
    if: (world, { pool }) => isForeign(world, nameIn(world, pool)),
    act: (world, { pool }) => world.vm.files.unlink(nameIn(world, pool)),
  },
  clone: {
    if: (world, { pool }) => mayClone(world, nameIn(world, pool)),
    act: (world, { pool }) => world.vm.files.create(cloneOf(world), nameIn(world, pool)),
  },
  'drop clone': {
    if: (world) => world.vm.files.has(cloneOf(world)),
    act: (world) => world.vm.files.unlink(cloneOf(world)),
  },
};

export const imageActions = { deeds, actorOf: (world: TriedImage) => world };

/** Only a target that something is reserved in, and that nothing else reads. */
function mayGoAway({ vm, operations }: TriedImage, pool: Pool): boolean {
  const chain = vm.persistentPaths();
  const { reservations, away } = vm.images;
  const isTarget = [...reservations.values()].some(({ plan }) => plan.to.pool === pool);
  const waits = (role: Role) => role === 'disk' || role === 'undo';
  const others = operations.filter((op) => op.isRunning && !waits(op.role));
  const isUsed = chain.some((path) => path.startsWith(`/${pool}/`)) || others.length > 0;
  // A file system is not unmounted under a mirror.
  return (
    isTarget &&
    !isUsed &&
    vm.mirror === null &&
    away.size === 0 &&
    ![...vm.files].some((f) => f.endsWith('.clone'))
  );
}

/**
 * qemu-img asks no agent, and takes no lock. Users do not clone what is still being made, nor
 * what a removal has already found unused.
 */
function mayClone(world: TriedImage, path: string): boolean {
  const { vm } = world;
  const identity = vm.files.identity(path) ?? '';
  const isMerged = world.running({ role: 'disk' })?.wish?.what === 'merge' || vm.record !== null;
  if (identity === '' || vm.files.has(cloneOf(world)) || isMerged) return false;
  const isOurs = !isForeign(world, path) && vm.images.away.size === 0;
  return isOurs && !vm.proven.has(identity) && !isReserved(vm, identity);
}
