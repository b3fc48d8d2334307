/** What a user's own `virsh` does to the snapshots of a VM in memory. */
import { overlayName } from '../../../../activities/host/snapshot/planning/overlays.ts';
import type { SimulatedMachine } from '../simulated-machine.ts';
import type { SimulatedVm } from '../simulated-vm.ts';

const overlayOf = (vm: SimulatedVm, name: string) => overlayName(vm.paths().at(-1) ?? '', name);

/** libvirt refuses a name that it lists, a disk with a block job, and files that exist. */
export const mayTakeByLibvirt = ({ disks, state, tree }: SimulatedMachine, name: string): boolean =>
  state === 'running' &&
  !tree.find(name) &&
  disks.every((vm) => vm.job === null && !vm.files.has(overlayOf(vm, name)));

/** `snapshot-create-as --disk-only` of a VM that runs. */
export function takeByLibvirt(machine: SimulatedMachine, name: string): void {
  const { disks, tree } = machine;
  const overlays = disks.map((vm) => ({
    vm,
    base: vm.paths().at(-1) ?? '',
    path: overlayOf(vm, name),
  }));
  for (const { vm, base, path } of overlays) {
    vm.content.freeze(base);
    vm.files.create(path, base);
    vm.live = vm.volumes(path);
    vm.persistent = [...vm.live];
  }
  tree.add({
    name,
    createdAt: Math.floor(machine.now() / 1000),
    disks: new Map(overlays.map(({ vm, path }) => [vm.disk, { kind: 'external', source: path }])),
    domain: new Map(overlays.map(({ vm, base }) => [vm.disk, base])),
  });
}
