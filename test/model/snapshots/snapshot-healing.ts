/** The end of a run of snapshots: all faults end, and what is asked for is fulfilled. */
import { tombOf } from '../../support/simulator/simulated-deletion.ts';
import { namedByTree } from '../../support/simulator/simulated-images.ts';
import { byQemuImg } from '../../support/simulator/snapshots/simulated-inside.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { leftBehind } from './snapshot-checks.ts';
import { LONG_SECONDS, type SnapshotOperation, type Wish } from './snapshot-operation.ts';
import type { TriedSnapshots } from './tried-snapshots.ts';

export async function heal(world: TriedSnapshots): Promise<void> {
  const { machine } = world;
  machine.goOn();
  world.open();
  await ended(world);
  await repeat(world);
  if (machine.state === 'paused') throw new Error('the guest is left paused at the end');
  // What was asked for is possible: a snapshot, back to it, and back again, and without it.
  await fulfil(world, { what: 'create', name: 'last' });
  machine.stop('shut off (shutdown)');
  await fulfil(world, { what: 'revert', name: 'last', keepSeconds: LONG_SECONDS, start: true });
  machine.stop('shut off (crashed)', false);
  await fulfil(world, { what: 'undo', keepSeconds: LONG_SECONDS });
  await fulfil(world, { what: 'delete', name: 'last', scope: 'children', atOnce: 2 });
  machine.start();
  if (machine.state !== 'running') throw new Error('the VM cannot start');
  await ended(world, true);
  checkNothingElse(world);
}

/** @param isAll also what expires, which waits as long as a revert is not complete */
async function ended(world: TriedSnapshots, isAll = false): Promise<void> {
  const counts = ({ isRunning, role }: SnapshotOperation) =>
    isRunning && (isAll || role !== 'expiry');
  const busy = () => world.operations.filter(counts).map(({ id }) => id);
  const what = () => `${busy().join(', ')} to end (${world.vm.calls.slice(-6).join(', ')})`;
  do {
    await waitUntil(what, () => busy().length === 0, { timeoutMs: 30_000, intervalMs: 5 });
    await world.settle();
  } while (busy().length > 0);
  world.check();
}

const isUnfinished = (world: TriedSnapshots) =>
  leftBehind(world).length > 0 ||
  world.machine.state === 'paused' ||
  world.disks.some(({ record, job }) => record !== null || job !== null);

/** What was ended by force has left things, which the same requests find. */
async function repeat(world: TriedSnapshots): Promise<void> {
  const wishes = new Map<string, Wish>();
  for (const { wish } of world.operations) if (wish) wishes.set(JSON.stringify(wish), wish);
  for (const isDown of [false, true]) {
    for (const wish of wishes.values()) {
      if (!isUnfinished(world)) return;
      if (isDown) {
        world.machine.stop('shut off (shutdown)');
        deleteForeignInner(world);
      }
      await world.ask(wish);
      await ended(world);
    }
  }
  if (!isUnfinished(world)) return;
  const left = [...leftBehind(world), `the VM is ${world.machine.state}`];
  for (const { slug, record } of world.disks) if (record) left.push(`a record of ${slug}`);
  throw new Error(`unfinished at the end: ${left.join(', ')}; ${world.endings.join(', ')}`);
}

/** As the refusal says: what another tool has left inside of an image keeps it from a merge. */
function deleteForeignInner({ disks, foreign }: TriedSnapshots): void {
  for (const vm of disks) {
    for (const path of vm.persistentPaths()) {
      const names = [...foreign].filter((name) => vm.inner.named(path, name).length > 0);
      for (const name of names) byQemuImg(vm, path, { name, deletes: true });
    }
  }
}

const DONE = ['created', 'reverted', 'undone', 'deleted'];

async function fulfil(world: TriedSnapshots, wish: Wish): Promise<void> {
  await world.ask(wish);
  await ended(world);
  const last = (op: SnapshotOperation) => op.role === 'vm';
  const { end } = world.operations.findLast(last) ?? {};
  if (DONE.includes(end ?? '')) return;
  throw new Error(`${JSON.stringify(wish)} ended as ${end}`);
}

/** At the end nothing else is left (I10). */
function checkNothingElse({ disks, machine, foreign }: TriedSnapshots): void {
  // What libvirt was told to forget by others keeps its files.
  if (foreign.size > 0) return;
  for (const vm of disks) {
    const kept = machine.notes.all.flatMap(({ jobId, content }) => {
      if (content.of !== 'revert' || content.text.state.phase === 'begun') return [];
      const part = content.text.state.change.disks.find(({ disk }) => disk === vm.disk);
      const layers = part ? [part.from, part.to] : [];
      return layers.map(({ volume }) => tombOf(jobId, volume.path));
    });
    const roots = [...vm.persistentPaths(), ...namedByTree(vm), ...kept];
    const used = new Set(roots.flatMap((path) => vm.files.chainOf(path)));
    const extra = [...vm.files].filter((path) => !used.has(path));
    if (extra.length > 0) throw new Error(`left at the end: ${extra.join(', ')}`);
  }
}
