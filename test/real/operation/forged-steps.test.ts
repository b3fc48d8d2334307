/**
 * Who reaches the namespace starts activities with plans of their own: what a host agent lets a
 * guest, a mirror or a header have is what was made for that job, by its own look (I16).
 */
import { createHash, randomUUID } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { ensurePoolId } from '../../../activities/pool-folder/id.ts';
import { createSnapshotInput } from '../../../workflows/snapshot/create/request.ts';
import { moveImageInput } from '../../../workflows/transfer/request.ts';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { startOwnAgents, type OwnAgents } from '../../support/host/own-agents.ts';
import { startPrivateHost, type PrivateHost } from '../../support/host/private-host.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';

let host: PrivateHost;
let [pool, vault] = ['', ''];
let agents: OwnAgents;
let effects: string[] = [];
beforeAll(async () => {
  host = await startPrivateHost({ name: 'forged' });
  pool = await host.definePool(POOL);
  vault = await host.definePool('vault');
  await Promise.all([pool, vault].map((folder) => ensurePoolId(folder, randomUUID())));
  agents = startOwnAgents(host, (name, _, fn) => (effects.push(name), fn()));
});
afterAll(async () => {
  agents?.close();
  await host?.close();
});

let count = 0;
/** Of another VM: the name of its image in either pool. */
let [vm, file, victim] = ['', '', ''];
beforeEach(async () => {
  vm = `forge${++count}`;
  victim = `victim${count}.qcow2`;
  file = await createImage(join(pool, `${vm}.qcow2`));
  for (const folder of [pool, vault]) await createImage(join(folder, victim));
  await defineShutOff(host, vm, diskXml(file));
  effects = [];
});
afterEach(() => host.virsh('destroy', vm).catch(() => undefined));

/** What its disk vdb is, and all of the image of another VM in either pool. */
async function facts() {
  const victims = [pool, vault].map((folder) => join(folder, victim));
  const states = victims.map(async (path) => [
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
    (await stat(path)).ino,
  ]);
  return [await host.virsh('domblklist', vm, '--inactive'), await Promise.all(states)];
}

const jobId = () => randomUUID();

describe.each(['running', 'down'])('A snapshot of a VM that is %s', (state) => {
  async function reserved() {
    if (state === 'running') await host.virsh('start', vm, '--paused');
    const request = createSnapshotInput.parse({ vm, host: 'h1', name: 's1', exclude: ['vda'] });
    const outcome = await agents.ask('observeSnapshotPlan', request);
    if (outcome.kind !== 'plan') throw new Error(`no plan, but ${outcome.kind}`);
    const { plan } = outcome;
    const job = jobId();
    const reservation = { jobId: job, owner: job, workflow: vm, snapshot: plan, pool: POOL };
    const made = await agents.ask('ensureOverlaysCreated', reservation);
    if (made.outcome !== 'created') throw new Error(`${made.path} is taken`);
    return { plan, jobId: job, overlays: made.overlays };
  }
  type Taking = Awaited<ReturnType<typeof reserved>>;

  const named = (taking: Taking, name: string): Taking => {
    const [disk] = taking.plan.disks;
    if (!disk) throw new Error('it has no disk');
    return { ...taking, plan: { ...taking.plan, disks: [{ ...disk, name }] } };
  };
  const forgeries: Record<string, (taking: Taking) => Promise<Taking>> = {
    'an image of another VM': (taking) => Promise.resolve(named(taking, victim)),
    'one of another VM that is told as its overlay': async (taking) => {
      const [overlay] = taking.overlays;
      if (!overlay) throw new Error('it has no overlay');
      const [pool] = overlay.volume.identity.split(':');
      const path = join(overlay.volume.path, '..', victim);
      const volume = { ...overlay.volume, path, identity: `${pool}:${(await stat(path)).ino}` };
      return { ...named(taking, victim), overlays: [{ ...overlay, volume }] };
    },
    'what was made for another job': (taking) => Promise.resolve({ ...taking, jobId: jobId() }),
    'an overlay of another VM': async (taking) => {
      const other = await createImage(join(pool, `${vm}-other.qcow2`));
      await defineShutOff(host, `${vm}-other`, diskXml(other));
      const mine = vm;
      vm = `${vm}-other`;
      const theirs = await reserved();
      vm = mine;
      const [disk] = theirs.plan.disks;
      if (!disk) throw new Error('it has no disk');
      return { ...named(taking, disk.name), jobId: theirs.jobId, overlays: theirs.overlays };
    },
  };
  it.each(Object.entries(forgeries))('never writes to %s', async (_, forge) => {
    const forged = await forge(await reserved());
    const before = await facts();
    effects = [];
    const outcome = await agents.ask('ensureSnapshotTaken', forged);
    expect(outcome).toMatchObject({ outcome: 'changed' });
    expect([await facts(), effects]).toEqual([before, []]);
  });

  it('writes to what was made for it', async () => {
    const taking = await reserved();
    expect(await agents.ask('ensureSnapshotTaken', taking)).toMatchObject({ outcome: 'taken' });
    // The reservation may be gone when another attempt looks.
    const { to } = taking.plan.disks[0] as Taking['plan']['disks'][number];
    const release = { to, jobId: taking.jobId, targets: 'keep', owners: null } as const;
    await agents.ask('ensureReservationAbsent', release);
    effects = [];
    expect(await agents.ask('ensureSnapshotTaken', taking)).toMatchObject({ outcome: 'taken' });
    expect(effects).toEqual([]);
  });
});

describe('A mirror', () => {
  async function planned() {
    await host.virsh('start', vm, '--paused');
    const image = { kind: 'disk', vm, disk: 'vdb' } as const;
    const request = moveImageInput.parse({ host: 'h1', image, to: 'vault' });
    const outcome = await agents.ask('observeImagePlan', { operation: 'MoveImage', ...request });
    if (outcome.kind !== 'plan') throw new Error(`no plan, but ${outcome.kind}`);
    return { plan: outcome.plan, jobId: jobId() };
  }
  type Job = Awaited<ReturnType<typeof planned>>;

  async function prepare(job: Job) {
    await agents.ask('ensureImageReserved', { ...job, owner: job.jobId, workflow: vm });
    await agents.ask('ensureTopCreated', job);
    await agents.ask('ensureImageHeld', job);
    return agents.ask('ensureImageNamed', job);
  }
  const start = (job: Job) =>
    agents.ask('ensureMirrorStarted', { ...job, bandwidthBytesPerSecond: 0, isNewTop: true });

  it('never writes to an image of another VM', async () => {
    const { plan, jobId: id } = await planned();
    const volumes = plan.volumes.map((volume) => ({ ...volume, name: victim }));
    const forged = { plan: { ...plan, volumes }, jobId: id };
    expect(await prepare(forged)).toMatchObject({ outcome: 'taken' });
    const before = await facts();
    effects = [];
    expect(await start(forged)).toMatchObject({ outcome: 'lost' });
    expect([await facts(), effects]).toEqual([before, []]);
  });

  const names: Record<string, () => string> = {
    'a file of the host': () => '/etc/shadow',
    'an image of another VM in its pool': () => join(vault, victim),
    'the same by its name': () => victim,
    'one in another pool': () => `../${POOL}/${victim}`,
    'the copy itself': () => `${vm}.qcow2`,
    'the source of what is below': () => join(pool, `${vm}-base.qcow2`),
    'the copy below in another format': () => `${vm}-base.qcow2`,
  };
  it.each(Object.entries(names))('never stands on %s, nor does another copy', async (_, name) => {
    const base = await createImage(join(pool, `${vm}-base.qcow2`));
    await execa('qemu-img', ['rebase', '-u', '-b', base, '-F', 'qcow2', file]);
    const { plan, jobId: id } = await planned();
    expect(plan.live?.backing).toEqual({ name: join(vault, `${vm}-base.qcow2`), format: 'qcow2' });
    const backing = { name: name(), format: name().includes('-base') ? 'raw' : 'qcow2' } as const;
    const live = plan.live && { ...plan.live, backing };
    const forged = { plan: { ...plan, live }, jobId: id };
    await agents.ask('ensureImageReserved', { ...forged, owner: id, workflow: vm });
    await expect(agents.ask('ensureTopCreated', forged)).rejects.toThrow('no copy of its base');
    const volumes = plan.volumes.map((volume) => ({ ...volume, rebase: backing }));
    const renamed = { plan: { ...plan, volumes }, jobId: id };
    effects = [];
    await expect(agents.ask('ensureBackingNames', renamed)).rejects.toThrow('no copy of its base');
    expect(effects).toEqual([]);
  });

  it('writes to what was made for it', async () => {
    const job = await planned();
    expect(await prepare(job)).toMatchObject({ outcome: 'named' });
    expect(await start(job)).toMatchObject({ outcome: 'started' });
  });
});
