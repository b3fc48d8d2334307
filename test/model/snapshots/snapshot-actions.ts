/** What can happen to the snapshots of a VM, and to the operations on them. */
import {
  mayTakeByLibvirt,
  takeByLibvirt,
} from '../../support/simulator/snapshots/snapshot-by-libvirt.ts';
import { byQemuImg, mayChange } from '../../support/simulator/snapshots/simulated-inside.ts';
import type { Deeds, Named } from '../engine.ts';
import { operationDeeds, type OperationDetails } from '../shared-deeds.ts';
import type {
  Disk,
  InnerName,
  Name,
  SnapshotOperation,
  Which,
  Wish,
} from './snapshot-operation.ts';
import type { SimulatedVm } from '../../support/simulator/simulated-vm.ts';
import type { TriedSnapshots } from './tried-snapshots.ts';

/** What needs no more words. */
export type Bare = 'shut down' | 'start VM';

interface OfSnapshots {
  ask: { wish: Wish };
  write: { disk: Disk; block: number };
  flush: { disk: Disk };
  pass: { ms: number };
  'kill QEMU': { unflushedSurvives: boolean };
  'snapshot by virsh': { name: Name };
  'forget by virsh': { name: Name };
  'qemu-img snapshot': { disk: Disk; name: InnerName; deletes: boolean };
}
export type Details = OperationDetails<Which> & Record<Bare, object> & OfSnapshots;
export type Action = Named<Details>;

const isUp = ({ machine }: TriedSnapshots) => machine.state === 'running';

const deeds: Deeds<TriedSnapshots, Details> = {
  ...operationDeeds<Which>(),
  cancel: {
    if: (world, which) => world.running(which) !== undefined,
    act: (world, which) => cancel(world, which),
  },
  ask: { act: (world, { wish }) => world.ask(wish) },
  write: { if: isUp, act: ({ machine }, { disk, block }) => machine.disk(disk).write(block) },
  flush: { if: isUp, act: ({ machine }, { disk }) => machine.disk(disk).flush() },
  pass: { act: ({ machine }, { ms }) => machine.pass(ms) },
  'shut down': { if: isUp, act: ({ machine }) => machine.stop('shut off (shutdown)') },
  'kill QEMU': {
    if: ({ machine }) => machine.state !== 'off',
    act: ({ machine }, { unflushedSurvives }) =>
      machine.stop('shut off (crashed)', unflushedSurvives),
  },
  'start VM': { if: ({ machine }) => machine.mayStart, act: ({ machine }) => machine.start() },
  'snapshot by virsh': {
    if: ({ machine }, { name }) => mayTakeByLibvirt(machine, name),
    act(world, { name }) {
      takeByLibvirt(world.machine, name);
      world.foreign.add(name);
    },
  },
  'forget by virsh': {
    if: ({ machine }, { name }) => machine.tree.find(name) !== undefined,
    act(world, { name }) {
      world.machine.tree.forget(name);
      world.foreign.add(name);
    },
  },
  'qemu-img snapshot': {
    if: ({ machine }, { disk }) => mayChange(machine.disk(disk), activeOf(machine.disk(disk))),
    act({ machine, foreign }, { disk, name, deletes }) {
      byQemuImg(machine.disk(disk), activeOf(machine.disk(disk)), { name, deletes });
      foreign.add(name);
    },
  },
};

const activeOf = (vm: SimulatedVm) => vm.persistentPaths().at(-1) ?? '';

export const snapshotActions = { deeds, actorOf: (world: TriedSnapshots) => world };

/** A deletion ends the merges that it waits for, too. */
async function cancel(world: TriedSnapshots, which: Which): Promise<void> {
  const operation = world.running(which);
  const merging = operation?.role === 'vm' ? await mergingDisks(operation) : [];
  await operation?.cancel();
  for (const disk of merging) {
    const merge = world.running({ role: disk });
    if (merge) merge.mustLeave = true;
  }
}

async function mergingDisks(operation: SnapshotOperation): Promise<Disk[]> {
  const status = await operation.status;
  if (status.operation !== 'DeleteSnapshot' || status.phase !== 'merging') return [];
  const merging = status.disks.filter(({ state }) => state === 'merging');
  return merging.map(({ disk }) => disk as Disk);
}
