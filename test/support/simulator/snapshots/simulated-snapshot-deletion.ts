/** Which snapshots of a VM in memory a deletion is about, and how libvirt forgets them. */
import type { HostActivities } from '../../../../activities/host/index.ts';
import type { snapshotDeletionOnHost } from '../../../../workflows/snapshot/delete/activities.ts';
import type { GoingSnapshot } from '../../../../workflows/snapshot/delete/plan.ts';
import { passStrike } from '../simulated-switch.ts';
import type { SimulatedMachine } from '../simulated-machine.ts';
import type { Implementations } from '../simulated-waits.ts';
import { refuse } from './simulated-snapshot-plan.ts';
import type { ListedPoint } from './simulated-tree.ts';

type Simulated = Exclude<keyof typeof snapshotDeletionOnHost, 'ensureInnerSnapshotAbsent'>;

export const snapshotDeletionHost: Implementations<Pick<HostActivities, Simulated>> = {
  observeSnapshotDeletion({ machine }, { name, scope, host }) {
    const all = machine.tree.under(name);
    if (all.length === 0) throw refuse('unknown-snapshot', `libvirt lists no ${name}`);
    const chosen = {
      snapshot: () => all.slice(0, 1),
      children: () => all,
      'children-only': () => all.slice(1),
    }[scope]();
    return {
      vm: machine.name,
      vmUuid: machine.uuid,
      host,
      snapshots: chosen.reverse().map((point) => goingOf(machine, point)),
    };
  },
  ensureSnapshotForgotten({ machine: { tree } }, { name }) {
    const point = tree.find(name);
    if (!point) return;
    tree.assertEmpty(point);
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
