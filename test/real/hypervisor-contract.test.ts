/**
 * The agents' activities on libvirt and QEMU, without Temporal: the same cases that the simulator
 * passes in test/model/hypervisor-contract.test.ts.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, it } from '@jest/globals';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createEffect } from '../../activities/effect.ts';
import { createJobWatch, type JobWatch } from '../../activities/adapters/job-watch.ts';
import { createPivots, type Pivots } from '../../activities/adapters/safe-pivot.ts';
import { createLibvirt, type Libvirt } from '../../activities/adapters/virsh.ts';
import { createHostActivities } from '../../activities/host/index.ts';
import { createStorageActivities } from '../../activities/storage/index.ts';
import { dailySample } from '../support/daily-sample.ts';
import { createGuestDisk } from '../support/guest-disk.ts';
import { defineGuest, type Guest } from '../support/guest.ts';
import { merging } from '../support/hypervisor-contract.ts';
import { faults } from '../support/hypervisor-contract-faults.ts';
import type { Ask, Hypervisor } from '../support/hypervisor.ts';
import { activeLayer, POOL } from '../support/merge-scene.ts';
import { expectNoLoss, verifyGuestData } from '../support/oracle.ts';
import { poolFiles } from '../support/pool-files.ts';
import { startPrivateHost, type PrivateHost } from '../support/private-host.ts';
import type { AgentActivities } from '../support/simulated-host.ts';
import { takeExternalSnapshot } from '../support/snapshots.ts';
import { waitUntil } from '../support/wait-until.ts';

const FEW_SLOTS = { slots: 16 };
let host: PrivateHost;
let pool: string;
let libvirt: Libvirt;
let watch: JobWatch;
let pivots: Pivots;
let activities: AgentActivities;
beforeAll(async () => {
  host = await startPrivateHost({ name: 'contract' });
  pool = await host.definePool(POOL);
  libvirt = createLibvirt(host.uri);
  watch = createJobWatch(libvirt);
  pivots = createPivots(host.uri);
  const effect = createEffect([]);
  const runtimeDir = join(host.root, 'runtime');
  activities = {
    ...createStorageActivities({ libvirt, effect }),
    ...createHostActivities({ host: 'h1', libvirt, watch, pivots, effect, runtimeDir }),
  };
});
afterAll(async () => {
  watch?.close();
  pivots?.close();
  libvirt?.close();
  await host?.close();
});

let guests = 0;

/** A guest that writes for ever, with layers that each have something in every slot. */
async function startGuest(layers: number): Promise<{ guest: Guest; chain: string[] }> {
  const name = `vm${++guests}`;
  const base = join(pool, `${name}.qcow2`);
  const disk = await createGuestDisk(base, { format: 'qcow2', ...FEW_SLOTS });
  const guest = await defineGuest(host, { name, disk });
  await guest.start();
  const chain = [base];
  for (let layer = 1; layer <= layers; layer++) {
    await guest.waitForAcks(FEW_SLOTS.slots + 1);
    const file = join(pool, `${name}-snap${layer}.qcow2`);
    await takeExternalSnapshot(host, name, { file });
    chain.push(file);
  }
  await guest.waitForAcks(FEW_SLOTS.slots + 1);
  return { guest, chain };
}

async function open(layers: number): Promise<Hypervisor> {
  const { guest, chain } = await startGuest(layers);
  const { name: vm, disk: guestDisk } = guest;
  const ask: Ask = (name, input) =>
    new MockActivityEnvironment().run(activities[name] as never, input as never);
  const read = async (imagePath: string, forceShare: boolean) => {
    const { parameters } = guestDisk;
    const question = { imagePath, format: 'qcow2', parameters, forceShare };
    return verifyGuestData({ ...question, acknowledged: guest.acknowledged() });
  };
  const isOff = async () => (await host.virsh('domstate', vm)).trim() === 'shut off';
  return {
    ref: { vm, disk: 'vda', host: 'h1' },
    chain,
    ask,
    // The one under way may have been issued before this was called.
    write: () => guest.waitForAcks(2),
    newestIn: async (path) => (await read(path, true)).newest,
    async verify() {
      expectNoLoss(await read((await activeLayer(guest)).path, false), guest.serial);
    },
    killQemu: () => guest.kill(),
    async shutDown() {
      await host.virsh('destroy', vm);
      await waitUntil(`${vm} to be off`, isOff);
    },
    startVm: () => guest.start(),
    startForeignJob: () => startForeignJob(vm),
    endJob: async () => void (await host.virsh('blockjob', vm, 'vda', '--abort')),
    files: async () => {
      const names = (await poolFiles(pool)).filter((name) => name.startsWith(`${vm}`));
      return names.filter((name) => /^vm\d+[.-]/.exec(name)?.[0].slice(0, -1) === vm)
        .map((name) => join(pool, name))
        .sort((a, b) => chain.indexOf(a) - chain.indexOf(b));
    },
  };
}

/** A copy of the disk to another place, as somebody makes it who moves it by hand. */
async function startForeignJob(vm: string): Promise<void> {
  const copy = join(host.root, `${vm}-copy.qcow2`);
  await host.virsh('blockcopy', vm, 'vda', '--dest', copy, '--transient-job');
  await waitUntil('the copy to be READY', async () =>
    (await host.virsh('dumpxml', vm)).includes("ready='yes'"),
  );
}

// The simulator passes all of them every day.
it.each(dailySample([...merging, ...faults], 2))('$title', async ({ layers = 1, check }) => {
  const hypervisor = await open(layers);
  await check(hypervisor);
  // One guest at a time: idle ones would take the cores from the next.
  await host.virsh('destroy', hypervisor.ref.vm).catch(() => undefined);
});
