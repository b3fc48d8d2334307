/** What must hold of the snapshots of a VM at any time, and when an operation reports its end. */
import { tombOf } from '../../support/simulator/simulated-deletion.ts';
import { namedByTree } from '../../support/simulator/simulated-images.ts';
import { hasInside } from '../../support/simulator/snapshots/simulated-inside.ts';
import type { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import type { End } from '../tried-operation.ts';
import type { SnapshotOperation } from './snapshot-operation.ts';
import type { TriedSnapshots } from './tried-snapshots.ts';

/** The oracle, one truth on all disks, and nothing gone that anything refers to (I1, I2, I3). */
export function checkAlways(world: TriedSnapshots): void {
  const found = world.disks.flatMap((vm) => [...chainFaults(vm), ...treeFaults(world, vm)]);
  found.push(...pauseFaults(world));
  if (found.length > 0) throw new Error(found.join('; '));
}

function chainFaults(vm: SimulatedVm): string[] {
  const { files, content, state, unseen } = vm;
  const chain = vm.persistentPaths();
  const found = [...vm.violations, ...content.losses, ...content.lost(chain)];
  const written = unseen?.map(({ path }) => path) ?? vm.paths();
  if (state !== 'off') found.push(...content.lost(written, 'shown'));
  const named = [...chain, ...(state === 'off' ? [] : written)];
  found.push(
    ...named.filter((path) => !files.has(path)).map((path) => `${path} is gone, and named`),
  );
  const headers = files.chainOf(chain.at(-1) ?? '').join(' <- ');
  if (headers !== chain.join(' <- ')) found.push(`the headers say ${headers}`);
  return found;
}

/** What libvirt lists is there, or kept for an undo; and unchanged while it can be restored. */
function treeFaults({ machine, foreign }: TriedSnapshots, vm: SimulatedVm): string[] {
  const { files, content } = vm;
  const kept = keptBy(vm);
  const isThere = (path: string) => files.has(path) || kept.all.includes(path);
  const found = namedByTree(vm)
    .filter((path) => !isThere(path) && !kept.expired.has(path))
    .map((path) => `${path} is gone, and libvirt's list names it`);
  for (const { name, disks, domain } of machine.tree.points) {
    const isWhole = [...disks.values()].every(({ kind }) => kind === 'external');
    const layer = domain.get(vm.disk) ?? '';
    if (isWhole && files.has(layer) && !foreign.has(name)) {
      found.push(...content.lostAt(layer).map((loss) => `snapshot ${name}: ${loss}`));
    }
  }
  for (const path of kept.quarantined) {
    if (!files.has(path)) found.push(`${path} is gone, and an undo needs it`);
  }
  return found;
}

/** What reverts have discarded: by its own names, and what was deleted in the end. */
function keptBy(vm: SimulatedVm) {
  const all: string[] = [];
  const quarantined: string[] = [];
  for (const { owner, pool, jobId, content } of vm.machine.notes.all) {
    if (content.of !== 'revert') continue;
    if (content.text.state.phase === 'begun') {
      // Its agent died after it had put the layer into quarantine, and before it noted that.
      const left = content.text.state.plan.disks.find(({ disk }) => disk === vm.disk)?.retired;
      if (left && vm.files.has(tombOf(jobId, left.volume.path))) all.push(left.volume.path);
      continue;
    }
    const { phase, change } = content.text.state;
    const part = change.disks.find(({ disk }) => disk === vm.disk);
    for (const layer of part ? [part.from, part.to] : []) {
      if (layer.to.pool !== pool) continue;
      all.push(layer.volume.path);
      const isLeft = layer === part?.from && phase !== 'undoing';
      if (isLeft && owner !== null) quarantined.push(tombOf(jobId, layer.volume.path));
    }
  }
  return { all, quarantined, expired: vm.machine.expired };
}

/** I12: what has suspended the guest still runs, or was ended by force. */
function pauseFaults({ machine, operations }: TriedSnapshots): string[] {
  const mayBe = operations.some(({ isRunning, end }) => isRunning || end === 'terminated');
  return machine.state === 'paused' && !mayBe ? ['the guest is left paused'] : [];
}

/** What a report claims must be true when it comes (I9, I10, I17). */
export async function checkEnd(world: TriedSnapshots, operation: SnapshotOperation): Promise<void> {
  const { end, isChecked, id } = operation;
  if (end === null || isChecked) return;
  operation.isChecked = true;
  if (end === 'terminated') return;
  const found = [...expectations(operation), ...(await claims(world, operation))];
  // What was not switched after all can be undone again.
  const mayLeave = !operation.refusesCancel || world.vm.switchRefused;
  if (end === 'cancelled' && !mayLeave) found.push('the cancel was refused');
  const isOwed = operation.hadLeftovers || end === 'divergent-chain';
  if (!isOwed && operation.role === 'vm') found.push(...leftBehind(world));
  if (found.length > 0) throw new Error(`${id} ended as ${end}, but ${found.join('; ')}`);
}

/** Notes of what is unfinished; a deletion leaves none. */
export function leftBehind({ machine }: TriedSnapshots): string[] {
  return machine.notes.all.flatMap(({ jobId, pool, content }) => {
    const phase = content.of === 'snapshot' ? 'begun' : content.text.state.phase;
    return ['begun', 'undoing'].includes(phase) ? [`note ${jobId} in ${pool} is left`] : [];
  });
}

const ANY: readonly End[] = ['cancelled', 'other-operation', 'divergent-chain', 'already-done'];
const GOING_BACK: readonly End[] = ['vm-running', 'base-changed', 'vm-started', 'disks-changed'];
const OF_CHAIN: readonly End[] = ['volume-not-in-chain', 'shared-base'];
/** An image has snapshots inside, which would be lost; or a tree has both kinds. */
const INNER = 'internal-snapshots';
const OF_INSIDE: readonly End[] = [
  ...(['vm-running', 'vm-started', 'volume-in-use', 'broken-chain', 'foreign-job'] as const),
  ...(['identity-changed', 'unproven'] as const),
];
const EXPECTED: Record<string, readonly End[]> = {
  create: ['created', 'snapshot-exists', 'name-taken', 'command-failed'],
  delete: ['deleted', 'partly-deleted', 'unknown-snapshot', ...OF_CHAIN, INNER],
  revert: [...GOING_BACK, 'reverted', 'unknown-snapshot', 'volume-in-use', 'broken-chain', INNER],
  undo: [...GOING_BACK, 'undone', 'nothing-to-undo'],
  merge: ['merged', 'unknown-snapshot', 'volume-not-in-chain', 'shared-base', INNER],
  'create inside': ['created', 'snapshot-exists', ...OF_INSIDE],
  'delete inside': ['deleted', 'partly-deleted', 'unknown-snapshot', INNER, ...OF_INSIDE],
};
const MERGES: readonly End[] = ['merged', 'job-lost', 'vm-stopped', 'unproven'];

function expectations({ wish, end, role }: SnapshotOperation): string[] {
  if (role === 'expiry') return [];
  const own = wish ? (EXPECTED[wish.what] ?? []) : [...MERGES, ...(EXPECTED['merge'] ?? [])];
  const merges = wish?.what === 'merge' || wish?.what === 'delete' ? MERGES : [];
  return [...ANY, ...own, ...merges].includes(end as End) ? [] : ['no such end was expected'];
}

async function claims(world: TriedSnapshots, operation: SnapshotOperation): Promise<string[]> {
  const { wish, end } = operation;
  const { tree } = world.machine;
  if (wish?.what === 'create' && end === 'created') return createdClaims(world, wish.name);
  if (wish?.what === 'create inside' && end === 'created') return insideClaims(world, wish);
  if (wish?.what === 'delete inside' && end === 'deleted') return goneClaims(world, wish);
  if (wish?.what === 'revert' && end === 'reverted') return revertedClaims(world, wish.name);
  if (wish?.what !== 'delete') return [];
  const status = await operation.status;
  if (status.operation !== 'DeleteSnapshot') return ['it is no deletion'];
  const isForeign = (name: string) => world.foreign.has(name);
  return status.disks.flatMap(({ snapshot, disk, state }) => {
    const point = tree.find(snapshot);
    if (isForeign(snapshot)) return [];
    const label = `${disk} of ${snapshot} is ${state}`;
    if (end === 'deleted' && point) return [`${label}, and listed`];
    if (state === 'merged' && point && point.disks.get(disk)?.kind !== 'no') {
      return [`${label}, and libvirt lists its layer`];
    }
    // The record goes before the layer, so that a merge which failed may have left only that.
    if (!['merged', 'failed', 'deleted'].includes(state) && !point)
      return [`${label}, and not listed`];
    return [];
  });
}

/** All images have it inside, and libvirt lists it. */
function insideClaims({ machine, disks, foreign }: TriedSnapshots, { name }: { name: string }) {
  if (foreign.has(name)) return [];
  const without = disks.filter(
    (vm) => vm.inner.named(vm.persistentPaths().at(-1) ?? '', name).length !== 1,
  );
  const found = without.map(({ slug }) => `${slug} does not have ${name} inside once`);
  return machine.tree.find(name) ? found : [...found, 'libvirt does not list it'];
}

/** No image has it, or only that of the disk that was named. */
function goneClaims(
  { machine, disks, foreign }: TriedSnapshots,
  { name, disk }: { name: string; disk: string | null },
) {
  if (foreign.has(name)) return [];
  const asked = disks.filter((vm) => disk === null || vm.disk === disk);
  const found = asked.filter((vm) => hasInside(vm, name)).map(({ slug }) => `${slug} still has it`);
  const isListed = disk === null && machine.tree.find(name) !== undefined;
  return isListed ? [...found, 'libvirt lists it'] : found;
}

/** All disks have it, and libvirt lists it. */
function createdClaims({ machine, disks, foreign }: TriedSnapshots, name: string): string[] {
  const point = machine.tree.find(name);
  if (foreign.has(name)) return [];
  if (!point) return ['libvirt does not list it'];
  return disks.flatMap((vm) => {
    const source = point.disks.get(vm.disk)?.source ?? 'nothing';
    return vm.persistentPaths().slice(1).includes(source)
      ? []
      : [`${source} is not in the chain of ${vm.disk}`];
  });
}

/** Every disk has an empty overlay on what the snapshot had, and libvirt is on it. */
function revertedClaims({ machine, disks }: TriedSnapshots, name: string): string[] {
  const point = machine.tree.find(name);
  const found = machine.tree.current === name ? [] : [`the VM is on ${machine.tree.current}`];
  for (const vm of disks) {
    const below = vm.files.backing(vm.persistentPaths().at(-1) ?? '');
    if (point?.domain.get(vm.disk) !== below) found.push(`${vm.disk} stands on ${below}`);
  }
  return found;
}
