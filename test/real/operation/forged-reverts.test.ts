/** Steps of a revert that are started with a forged change give no VM another disk (I16). */
import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { ensurePoolId, observePoolId } from '../../../activities/pool-folder/id.ts';
import { createSnapshotInput } from '../../../workflows/snapshot/create/request.ts';
import { backwards, changeOf } from '../../../workflows/snapshot/revert/change.ts';
import type { DiskSwitch, RevertNote } from '../../../workflows/snapshot/revert/plan.ts';
import { revertSnapshotInput } from '../../../workflows/snapshot/revert/request.ts';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { startOwnAgents, type OwnAgents } from '../../support/host/own-agents.ts';
import { startPrivateHost, type PrivateHost } from '../../support/host/private-host.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';

let host: PrivateHost;
let pool: string;
let agents: OwnAgents;
let effects: string[] = [];
beforeAll(async () => {
  host = await startPrivateHost({ name: 'forged-reverts' });
  pool = await host.definePool(POOL);
  await ensurePoolId(pool, randomUUID());
  agents = startOwnAgents(host, (name, _, fn) => (effects.push(name), fn()));
});
afterAll(async () => {
  agents?.close();
  await host?.close();
});

let count = 0;
let [vm, victim] = ['', ''];
/** The VM is down and has snapshot s1; another VM has an image in its pool. */
beforeEach(async () => {
  vm = `forge${++count}`;
  victim = await createImage(join(pool, `victim${count}.qcow2`));
  await defineShutOff(host, `victim${count}`, diskXml(victim));
  await defineWithSnapshot(vm);
});

async function defineWithSnapshot(name: string): Promise<void> {
  await defineShutOff(host, name, diskXml(await createImage(join(pool, `${name}.qcow2`))));
  const request = createSnapshotInput.parse({ vm: name, host: 'h1', name: 's1', exclude: ['vda'] });
  const planned = await agents.ask('observeSnapshotPlan', request);
  if (planned.kind !== 'plan') throw new Error(`no plan, but ${planned.kind}`);
  const { plan } = planned;
  const jobId = randomUUID();
  const reservation = { jobId, owner: jobId, workflow: name, snapshot: plan, pool: POOL };
  const made = await agents.ask('ensureOverlaysCreated', reservation);
  if (made.outcome !== 'created') throw new Error(`${made.path} is taken`);
  const taking = { plan, jobId, overlays: made.overlays };
  expect(await agents.ask('ensureSnapshotTaken', taking)).toMatchObject({ outcome: 'taken' });
  await agents.ask('ensureSnapshotListed', taking);
  const { to } = first(plan.disks);
  await agents.ask('ensureReservationAbsent', { to, jobId, targets: 'keep', owners: null });
}

function first<T>(all: readonly T[]): T {
  const [one] = all;
  if (one === undefined) throw new Error('there is none');
  return one;
}

/** A revert up to its switch, with what of its plan is forged. */
async function reserved(forge: (plan: Plan) => Plan = (plan) => plan) {
  const request = revertSnapshotInput.parse({ vm, host: 'h1', name: 's1' });
  const planned = await agents.ask('observeRevertPlan', request);
  if (planned.kind !== 'plan') throw new Error(`no plan, but ${planned.kind}`);
  const plan = forge(planned.plan);
  const jobId = randomUUID();
  const { to } = first(plan.disks);
  const note = noteOf(jobId, { phase: 'begun', plan });
  const made = await agents.ask('ensureRevertReserved', { note, to });
  if (made.outcome !== 'created') throw new Error(`${made.path} is taken`);
  return { jobId, to, change: changeOf(plan, made.overlays) };
}
type Plan = Extract<RevertNote['state'], { phase: 'begun' }>['plan'];
type Reserved = Awaited<ReturnType<typeof reserved>>;

const noteOf = (jobId: string, state: RevertNote['state']): RevertNote => ({
  ...{ jobId, owner: jobId, workflow: vm, time: new Date().toISOString(), state },
});

async function victimNamed() {
  const identity = `${await observePoolId(pool)}:${(await stat(victim)).ino}`;
  return { path: victim, pool: POOL, identity };
}

const onto = (change: DiskSwitch, volume: Awaited<ReturnType<typeof victimNamed>>): DiskSwitch => ({
  ...change,
  disks: change.disks.map((disk) => ({ ...disk, to: { ...disk.to, volume }, below: [] })),
});

const sources = () => host.virsh('domblklist', vm, '--inactive');

async function expectNotSwitched(change: DiskSwitch): Promise<void> {
  const before = await sources();
  effects = [];
  const outcome = await agents.ask('ensureDisksSwitched', change);
  expect(outcome).toMatchObject({ outcome: 'changed' });
  expect([await sources(), effects]).toEqual([before, []]);
}

const forgeries: Record<string, () => Promise<DiskSwitch>> = {
  'the image of another VM': async () => onto((await reserved()).change, await victimNamed()),
  'a layer without the fingerprints below it': async () => {
    const { change } = await reserved();
    return { ...change, disks: change.disks.map((disk) => ({ ...disk, below: [] })) };
  },
  'the overlay of another VM': async () => {
    const { change } = await reserved();
    await defineWithSnapshot((vm = `${vm}-other`));
    const { change: theirs } = await reserved();
    vm = vm.replace('-other', '');
    return onto(change, first(theirs.disks).to.volume);
  },
  'an overlay that was made over the image of another VM': async () => {
    const base = await victimNamed();
    const { change } = await reserved((plan) => ({
      ...plan,
      disks: plan.disks.map((disk) => ({ ...disk, base, backingName: victim })),
    }));
    return change;
  },
  'what a note is about that is given up': async () => {
    const { jobId, to, change } = await reserved();
    await agents.ask('ensureReservationAbsent', { to, jobId, targets: 'keep', owners: null });
    return change;
  },
};
it.each(Object.entries(forgeries))('A VM that is down does not get %s', async (_, forge) => {
  await expectNotSwitched(await forge());
});

it('A note is never about another change than the one that it began with', async () => {
  const { jobId, to, change } = await reserved();
  const forged = backwards(onto(change, await victimNamed()));
  const written = { note: noteOf(jobId, { phase: 'undoing', change: forged }), to };
  await expect(agents.ask('ensureLayersRestored', written)).rejects.toThrow('another change');
  await expectNotSwitched(backwards(forged));
  const kept = { note: noteOf(jobId, { phase: 'kept', change: forged }), to };
  await expect(agents.ask('ensureLayersRetired', kept)).rejects.toThrow();
});

it('A true revert switches, twice, and so does its undo', async () => {
  const { change, jobId, to }: Reserved = await reserved();
  const twice = async (name: 'ensureDisksSwitched', to: DiskSwitch) => {
    for (let times = 0; times < 2; times++) {
      expect(await agents.ask(name, to)).toEqual({ outcome: 'switched' });
    }
  };
  await twice('ensureDisksSwitched', change);
  const kept = { note: noteOf(jobId, { phase: 'kept', change }), to };
  for (let times = 0; times < 2; times++) await agents.ask('ensureLayersRetired', kept);
  const undoing = { note: noteOf(jobId, { phase: 'undoing', change }), to };
  for (let times = 0; times < 2; times++) await agents.ask('ensureLayersRestored', undoing);
  await twice('ensureDisksSwitched', backwards(change));
  const undone = { note: noteOf(jobId, { phase: 'undone', change: backwards(change) }), to };
  for (let times = 0; times < 2; times++) await agents.ask('ensureLayersRetired', undone);
});
