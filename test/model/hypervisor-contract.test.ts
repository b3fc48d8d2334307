/** The simulator does what test/real/hypervisor-contract.test.ts shows libvirt and QEMU to do. */
import { randomUUID } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { agentActivities } from '../support/simulated-agents.ts';
import { SimulatedVm } from '../support/simulated-vm.ts';
import { BLOCKS } from '../support/simulated-content.ts';
import { merging } from '../support/hypervisor-contract.ts';
import { faults } from '../support/hypervisor-contract-faults.ts';
import type { Ask, Hypervisor } from '../support/hypervisor.ts';

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
    const below = chain.slice(0, chain.indexOf(path) + 1);
    return Math.max(...BLOCKS.map((block) => vm.content.read(below, block, 'durable')));
  };
  const verify = () =>
    expect([...vm.content.losses, ...vm.content.lost(vm.persistentPaths())]).toEqual([]);
  const soon = <T>(act: () => T) => Promise.resolve().then(act);
  return {
    ...{ ref: { vm: vm.name, disk: 'vda', host: 'h1' }, chain, ask },
    ...{ write: () => soon(write), newestIn: (path) => soon(() => newestIn(path)) },
    verify: () => soon(verify),
    killQemu: () => soon(() => vm.stop('shut off (crashed)')),
    shutDown: () => soon(() => vm.stop('shut off (destroyed)')),
    startVm: () => soon(() => vm.machine.start()),
    startForeignJob: () => soon(() => vm.startForeignJob()),
    endJob: () => soon(() => void (vm.job = null)),
    files: () => soon(() => [...vm.files].sort()),
  };
}

it.each([...merging, ...faults])('$title', ({ layers = 1, check }) => check(open(layers)));
