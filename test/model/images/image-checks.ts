/** What must hold of an image at any time, and when an operation reports its end. */
import { BLOCKS } from '../../support/simulator/simulated-content.ts';
import type { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import type { TriedImage } from './tried-image.ts';
import type { ImageOperation, Role } from './image-operation.ts';
import type { End } from '../tried-operation.ts';

/** The oracle, one truth, and nothing gone that anything refers to (I1, I2, I3, I14). */
export function checkAlways({ vm }: TriedImage): void {
  const { files, images, content, snapshots, snapshotSource } = vm;
  const chain = vm.persistentPaths();
  const found = [...vm.violations, ...content.losses, ...content.lost(chain)];
  if (vm.state !== 'off') found.push(...content.lost(vm.paths(), 'shown'));
  const named = [...chain, ...(vm.state === 'off' ? [] : vm.paths())];
  if (snapshots.length > 0) named.push(snapshotSource);
  for (const file of files) {
    const backing = files.backing(file);
    // What is being removed goes from the active layer down.
    const goes = file.includes('/.blockflow/');
    if (backing !== null && !goes) named.push(backing);
  }
  const gone = named.filter((path) => !files.has(path));
  found.push(...gone.map((path) => `${path} is gone, and named`));
  const headers = files.chainOf(chain.at(-1) ?? '').join(' <- ');
  if (headers !== chain.join(' <- ')) found.push(`the headers say ${headers}`);
  if (new Set(images.deleted).size < images.deleted.length) found.push('a file is deleted twice');
  if (found.length > 0) throw new Error(found.join('; '));
}

/** Whatever an operation of this id has of its own (in this pool): reservations, holds, mirrors. */
export function leftoversOf({ images, mirror }: SimulatedVm, id: string, pool?: string): string[] {
  const found: string[] = [];
  for (const [jobId, { workflow, plan }] of images.jobs) {
    if (workflow !== id || (pool !== undefined && pool !== plan.to.pool)) continue;
    if (images.copiers.has(jobId)) found.push(`the hold of ${jobId}`);
    const isReserved = [...images.reservations.values()].some((run) => run.jobId === jobId);
    if (isReserved) found.push(`the reservation ${jobId}`);
    if (mirror?.to.includes(`/${jobId}/`)) found.push(`the mirror of ${jobId}`);
  }
  return found;
}

/** What a report claims must be true when it comes (I9, I10, I17). */
export function checkEnd(world: TriedImage, operation: ImageOperation): void {
  const { end, isChecked, id } = operation;
  if (end === null || isChecked) return;
  operation.isChecked = true;
  const isRemoval = operation.role === 'removal' || operation.role === 'rm';
  if (isRemoval && end !== 'removed') grantPool(world, id.split('/')[0] ?? '');
  if (end === 'terminated') return;
  const found = [...expectations(operation), ...claims(world, operation)];
  if (operation.refusesCancel && end === 'cancelled') found.push('the cancel was refused');
  const isFulfilled = end === 'moved' || end === 'copied';
  // What an earlier run left goes with a success of its like; what is unavailable, when it is back.
  const undoes = (op: ImageOperation) => operation.undos?.includes(op.id) && op.isRunning;
  const isOwed = operation.hadLeftovers || world.operations.some(undoes);
  const mayLeave = (isOwed && !isFulfilled) || world.vm.images.away.size > 0;
  if (!mayLeave) found.push(...whatStays(world, operation));
  if (found.length > 0) throw new Error(`${id} ended as ${end}, but ${found.join('; ')}`);
}

/** What is this operation's own, and should have gone before it was over. */
function whatStays({ vm }: TriedImage, { id, wish }: ImageOperation): string[] {
  const pool = wish && 'to' in wish ? wish.to : undefined;
  const left = leftoversOf(vm, id, pool);
  if (wish?.what === 'merge' && vm.record) left.push('its record');
  return left.map((thing) => `${thing} is left`);
}

const MOVES: readonly End[] = ['other-operation', 'shared-base', 'volume-in-use'];
const MIRRORS: readonly End[] = ['vm-stopped', 'job-lost', 'foreign-job'];
const FAULTS: readonly End[] = ['command-failed', 'cancelled'];
const EXPECTED: Record<string, readonly End[]> = {
  merge: [
    ...['merged', 'already-done', 'vm-stopped', 'job-lost', 'shared-base', 'unproven'],
    'other-operation',
    ...FAULTS,
  ] as End[],
  move: ['moved', 'already-done', 'name-taken', ...MOVES, ...MIRRORS, ...FAULTS],
  copy: ['copied', 'name-taken', 'vm-running', 'other-operation', 'volume-in-use', ...FAULTS],
  'copy base': ['copied', 'name-taken', 'volume-in-use', 'unknown-volume', ...FAULTS],
  rm: [
    ...['removed', 'unknown-volume', 'volume-in-use', 'shared-base', 'unproven', 'other-operation'],
    ...FAULTS,
  ] as End[],
};

const CHILDREN: Partial<Record<Role, readonly End[]>> = {
  removal: ['removed', 'cancelled'],
  undo: ['removed', 'kept', 'cancelled'],
};

function expectations({ wish, end, role }: ImageOperation): string[] {
  if (role === 'other') return [];
  const legal = wish === null ? (CHILDREN[role] ?? []) : (EXPECTED[wish.what] ?? []);
  return legal.includes(end as End) ? [] : ['no such end was to be expected'];
}

function claims(world: TriedImage, operation: ImageOperation): string[] {
  const { wish, end, report } = operation;
  const { vm, granted } = world;
  const chain = vm.persistentPaths();
  const after = report?.chainAfter ?? [];
  const found: string[] = [];
  if (end === 'moved' && chain.join() !== after.join()) {
    found.push(`the record names ${chain.join(' <- ')}`);
  }
  const to = wish?.what === 'move' ? `/${wish.to}/` : '/';
  if (end === 'already-done' && chain.some((path) => !path.startsWith(to))) {
    found.push(`the record names ${chain.join(' <- ')}`);
  }
  if (operation.role === 'undo' && end === 'removed') found.push(...reservedFor(vm, operation.id));
  if (end === 'merged' && chain.length > 1) found.push(`the record names ${chain.join(' <- ')}`);
  if (end === 'copied') {
    found.push(...copyClaims(vm, after));
    for (const path of after) granted.add(vm.files.identity(path) ?? '');
  }
  for (const path of report?.deleted ?? []) {
    if (vm.files.has(path) && vm.proven.has(vm.files.identity(path) ?? '')) {
      found.push(`${path} is there`);
    }
  }
  return found;
}

/** A later run may have reserved, but not what this one has deleted. */
function reservedFor({ images }: SimulatedVm, id: string): string[] {
  const owner = id.slice(id.lastIndexOf('/') + 1);
  const runs = [...images.reservations.values()].filter((run) => run.owner === owner);
  return runs.map(({ jobId }) => `its reservation ${jobId} is there`);
}

/** The copy's chain is the copy's own, and no block of it is younger or older than any write. */
function copyClaims({ files, content }: SimulatedVm, chain: readonly string[]): string[] {
  const headers = files.chainOf(chain.at(-1) ?? '');
  const found = headers.join() === chain.join() ? [] : [`the headers say ${headers.join(' <- ')}`];
  const empty = BLOCKS.every((block) => content.read(chain, block, 'durable') === 0);
  const gone = chain.filter((path) => !files.has(path));
  return [...found, ...gone.map((path) => `${path} is gone`), ...(empty ? ['it is empty'] : [])];
}

/** A removal that ends early keeps what is there, and no later run deletes it. */
function grantPool({ vm, granted }: TriedImage, pool: string): void {
  const chain = vm.persistentPaths();
  for (const file of vm.files) {
    const isReserved = file.split('/').length > 4;
    const isOther = chain.includes(file) || isReserved || !file.startsWith(`/${pool}/`);
    if (!isOther) granted.add(vm.files.identity(file) ?? '');
  }
}
