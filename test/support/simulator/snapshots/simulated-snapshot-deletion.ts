/** Which snapshots of a VM in memory a deletion is about, and how libvirt forgets them. */
import type { HostActivities } from '../../../../activities/host/index.ts';
import type { snapshotDeletionOnHost } from '../../../../workflows/snapshot/delete/activities.ts';
import type { GoingSnapshot } from '../../../../workflows/snapshot/delete/plan.ts';
import { passStrike } from '../simulated-switch.ts';
import type { SimulatedMachine } from '../simulated-machine.ts';
import type { Implementations } from '../simulated-waits.ts';
import { goingInside, hasInside, isInside } from './simulated-inside.ts';
import { refuse } from './simulated-snapshot-plan.ts';
import type { ListedPoint } from './simulated-tree.ts';

type Simulated = Exclude<keyof typeof snapshotDeletionOnHost, 'ensureInnerSnapshotAbsent'>;

export const snapshotDeletionHost: Implementations<Pick<HostActivities, Simulated>> = {
  observeSnapshotDeletion({ machine }, input) {
    const { name, scope, host, only } = input;
    const all = machine.tree.under(name);
    const found = { vm: machine.name, vmUuid: machine.uuid, host };
    if (only || (all.length === 0 && scope === 'snapshot')) {
      return { ...found, snapshots: [goingInside(machine, input)] };
    }
    if (all.length === 0) throw refuse('unknown-snapshot', `libvirt lists no ${name}`);
    const chosen = {
      snapshot: () => all.slice(0, 1),
      children: () => all,
      'children-only': () => all.slice(1),
    }[scope]();
    const inside = chosen.filter(({ disks }) => isInside(disks)).length;
    if (inside > 0 && inside < chosen.length) throw refuse('internal-snapshots', 'a mixed tree');
    const going = (point: ListedPoint) =>
      inside > 0 ? goingInside(machine, { ...input, name: point.name }) : goingOf(machine, point);
    return { ...found, snapshots: chosen.reverse().map(going) };
  },
  ensureSnapshotForgotten({ machine }, { name }) {
    const { tree } = machine;
    const point = tree.find(name);
    if (!point) return;
    tree.assertEmpty(point, (disk) => hasInside(machine.disk(disk), name));
    tree.forget(name);
    passStrike();
  },
};

function goingOf(
  machine: SimulatedMachine,
  { name, createdAt, disks }: ListedPoint,
): GoingSnapshot {
  const found: string[] = [];
  for (const [disk, { source }] of disks) {
    if (source === null) continue;
    const vm = machine.disk(disk);
    const isThere = vm.paths().slice(1).includes(source);
    const isLeft = vm.record?.deletes.some(({ path }) => path === source) ?? false;
    if (!isThere && !isLeft) throw refuse('volume-not-in-chain', `${source} of ${name} is not`);
    found.push(disk);
  }
  return {
    name,
    takenAt: new Date(createdAt * 1000).toISOString(),
    disks: found,
    memory: null,
  };
}
