/**
 * The simulator does what test/real/support/hypervisor-contract.test.ts shows libvirt and QEMU to
 * do.
 */
import { randomUUID } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { agentActivities } from '../support/simulator/simulated-agents.ts';
import { SimulatedVm } from '../support/simulator/simulated-vm.ts';
import { BLOCKS } from '../support/simulator/simulated-content.ts';
import { merging } from '../support/contract/hypervisor-contract.ts';
import { faults } from '../support/contract/hypervisor-contract-faults.ts';
import { moving } from '../support/contract/hypervisor-contract-images.ts';
import { movingFaults } from '../support/contract/hypervisor-contract-image-faults.ts';
import { inside } from '../support/contract/hypervisor-contract-inside.ts';
import { mirroring } from '../support/contract/hypervisor-contract-mirrors.ts';
import { snapshotting } from '../support/contract/hypervisor-contract-snapshots.ts';
import { attempts, type Strike } from '../support/simulator/simulated-switch.ts';
import type { Ask, Hypervisor } from '../support/contract/hypervisor.ts';

const soon = <T>(act: () => T) => Promise.resolve().then(act);

function open(layers: number): Hypervisor {
  const vm = new SimulatedVm(`vm-${randomUUID()}`, layers);
  const chain = vm.paths();
  chain.forEach((path, layer) => {
    for (const block of BLOCKS) vm.content.write(chain.slice(0, layer + 1), block);
    vm.content.settle(path);
  });
  const activities = agentActivities(new Map([[vm.slug, vm]]), new Map());
  const ask: Ask = (name, input) =>
    new MockActivityEnvironment().run(activities[name] as never, input as never);
  const write = () => {
    vm.write(3);
    vm.flush();
    return vm.content.read(vm.paths(), 3);
  };
  const newestIn = (path: string) => {
    const below = vm.files.chainOf(path);
    return Math.max(...BLOCKS.map((block) => vm.content.read(below, block, 'durable')));
  };
  const verify = () =>
    expect([...vm.content.losses, ...vm.content.lost(vm.persistentPaths())]).toEqual([]);
  return {
    ref: { vm: vm.name, disk: 'vda', host: 'h1' },
    chain,
    ask,
    write: () => soon(write),
    newestIn: (path) => soon(() => newestIn(path)),
    verify: () => soon(verify),
    killQemu: () => soon(() => vm.stop('shut off (crashed)')),
    shutDown: () => soon(() => vm.stop('shut off (destroyed)')),
    startVm: () => soon(() => vm.machine.start()),
    startForeignJob: () => soon(() => vm.startForeignJob()),
    endJob: () => soon(() => void Object.assign(vm, { job: null, mirror: null })),
    files: () => soon(() => [...vm.files].filter((path) => /^\/images\/[^/]+$/.test(path)).sort()),
    ...imagesOf(vm),
    async askInterrupted(effect, name, input) {
      const attempt = { strike: STRIKES[effect] ?? 'agent', looked: () => undefined };
      await expect(attempts.run(attempt, () => ask(name, input))).rejects.toThrow('agent died');
    },
  };
}

/** The effects that come second in their activities. */
const STRIKES: Partial<Record<string, Strike>> = {
  'image.complete-copy': 'agent late',
  'storage.abandon-reservation': 'agent late',
  'libvirt.take-snapshot': 'agent last',
  'image.take-snapshots': 'agent last',
  'image.delete-snapshot': 'agent late',
};

function imagesOf(vm: SimulatedVm) {
  const inFolder = (folder: string) =>
    [...vm.files].filter((path) => path.slice(0, path.lastIndexOf('/')) === folder).sort();
  return {
    copyOf: (path: string) => path.replace('/images/', '/vault/'),
    copies: () => soon(() => inFolder('/vault')),
    reserved: (jobId: string) => soon(() => inFolder(`/vault/.blockflow/${jobId}`)),
    make: (path: string) => soon(() => vm.files.create(path)),
    remove: (path: string) => soon(() => void vm.files.unlink(path)),
    takeAway: (isAway: boolean) =>
      soon(() => void (isAway ? vm.images.away.add('vault') : vm.images.away.clear())),
  };
}

const cases = [
  ...merging,
  ...faults,
  ...moving,
  ...movingFaults,
  ...mirroring,
  ...snapshotting,
  ...inside,
];
it.each(cases)('$title', ({ layers = 1, check }) => check(open(layers)));
