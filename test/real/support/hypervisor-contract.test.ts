/**
 * The agents' activities on libvirt and QEMU, without Temporal: the same cases that the simulator
 * passes in test/model/hypervisor-contract.test.ts.
 */
import { randomUUID } from 'node:crypto';
import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ensurePoolId } from '../../../activities/pool-folder/id.ts';
import { OWN_FOLDER } from '../../../activities/pool-folder/own-folder.ts';
import type { EffectHook } from '../../../activities/door/effect.ts';
import { sample } from '../../support/sample.ts';
import { createGuestDisk } from '../../support/guest/disks/guest-disk.ts';
import { defineGuest, type Guest } from '../../support/guest/guest.ts';
import { merging } from '../../support/contract/hypervisor-contract.ts';
import { faults } from '../../support/contract/hypervisor-contract-faults.ts';
import { movingFaults } from '../../support/contract/hypervisor-contract-image-faults.ts';
import { inside } from '../../support/contract/hypervisor-contract-inside.ts';
import { mirroring } from '../../support/contract/hypervisor-contract-mirrors.ts';
import { snapshotting } from '../../support/contract/hypervisor-contract-snapshots.ts';
import { moving } from '../../support/contract/hypervisor-contract-images.ts';
import type { Hypervisor } from '../../support/contract/hypervisor.ts';
import { activeLayer, POOL } from '../../support/scenes/merge-scene.ts';
import { expectNoLoss, verifyGuestData } from '../../support/guest/oracle.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { startOwnAgents, type OwnAgents } from '../../support/host/own-agents.ts';
import { startPrivateHost, type PrivateHost } from '../../support/host/private-host.ts';
import { takeExternalSnapshot } from '../../support/guest/disks/snapshots.ts';
import { waitUntil } from '../../support/wait-until.ts';

const FEW_SLOTS = { slots: 16 };
let host: PrivateHost;
let pool: string;
let vault: string;
let agents: OwnAgents;
beforeAll(async () => {
  host = await startPrivateHost({ name: 'contract' });
  pool = await host.definePool(POOL);
  vault = await host.definePool('vault');
  await Promise.all([pool, vault].map((folder) => ensurePoolId(folder, randomUUID())));
  agents = startOwnAgents(host, dieAfter);
});
afterAll(async () => {
  agents?.close();
  await host?.close();
});

/** The agent dies when this effect is done. */
let fatal: string | null = null;
const dieAfter: EffectHook = async (name, _, fn) => {
  const result = await fn();
  if (name !== fatal) return result;
  fatal = null;
  throw new Error('the agent died');
};

let guests = 0;

/** A guest that never stops writing, with layers that each have something in every slot. */
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
  const { ask } = agents;
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
    async askInterrupted(effect, name, input) {
      fatal = effect;
      await expect(ask(name, input)).rejects.toThrow('the agent died');
    },
    ...imagesOf(vm),
    files: async () => {
      return (await poolFiles(pool))
        .filter((name) => ofVm(vm).test(name))
        .map((name) => join(pool, name))
        .sort((a, b) => chain.indexOf(a) - chain.indexOf(b));
    },
  };
}

/** The copies in the other pool. */
function imagesOf(vm: string) {
  const names = async (folder: string) =>
    (await readdir(folder).catch(() => [])).sort().map((name) => join(folder, name));
  const own = join(vault, OWN_FOLDER);
  return {
    copyOf: (path: string) => join(vault, basename(path)),
    copies: async () => (await names(vault)).filter((path) => ofVm(vm).test(basename(path))),
    reserved: (jobId: string) => names(join(own, jobId)),
    make: (path: string) => writeFile(path, ''),
    remove: (path: string) => rm(path),
    takeAway: (isAway: boolean) =>
      isAway ? rename(own, `${own}.away`) : rename(`${own}.away`, own),
  };
}

const ofVm = (vm: string) => new RegExp(`^${vm}[.-]`);

/** A copy of the disk to another place, as a user makes it who moves it by hand. */
async function startForeignJob(vm: string): Promise<void> {
  const copy = join(host.root, `${vm}-copy.qcow2`);
  await host.virsh('blockcopy', vm, 'vda', '--dest', copy, '--transient-job');
  await waitUntil('the copy to be READY', async () =>
    (await host.virsh('dumpxml', vm)).includes("ready='yes'"),
  );
}

// The simulator passes all of them every day.
const cases = [
  ...merging,
  ...faults,
  ...moving,
  ...movingFaults,
  ...mirroring,
  ...snapshotting,
  ...inside,
];
it.each(sample('contract of hypervisors', cases, 2))('$title', async ({ layers = 1, check }) => {
  const hypervisor = await open(layers);
  await check(hypervisor);
  // One guest at a time: idle ones would take the cores from the next.
  await host.virsh('destroy', hypervisor.ref.vm).catch(() => undefined);
});
