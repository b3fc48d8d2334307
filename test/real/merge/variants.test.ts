import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { expectGuestData } from '../../support/guest/guest-data.ts';
import { bothXml, expectLeftClean, merged, SMALL } from '../../support/scenes/merge-checks.ts';
import { startScene, type Scene, type SceneOptions } from '../../support/scenes/merge-scene.ts';
import { untilPhase } from '../../support/scenes/merge-proofs.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { takeExternalSnapshot } from '../../support/guest/disks/snapshots.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

let scene: Scene;
const system = useSystem();
const forTest = useEach();

const start = async (options: SceneOptions) =>
  (scene = await forTest(startScene({ system, guest: SMALL, ...options })));

describe('which layers are merged', () => {
  it('commits a layer inside the chain, whose job ends by itself', async () => {
    const { chain, guest, verifyAfterCrash } = await start({ vm: 'inner', layers: 3 });
    const top = chain[2] as string;
    const base = chain[1] as string;
    const result = await merged(system, { vm: 'inner', disk: 'vda', top, base });
    expect(result).toMatchObject({
      outcome: 'merged',
      mode: 'inner',
      chainBefore: chain,
      chainAfter: [chain[0], base, chain[3]],
      deleted: [top],
      stallMs: null,
      warnings: [],
    });
    await guest.waitForAcks(20);
    await expectLeftClean(scene, ['inner.qcow2', 'inner-snap1.qcow2', 'inner-snap3.qcow2']);
    await verifyAfterCrash();
  });

  it('commits several layers in one job', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'several', layers: 4 });
    const result = await merged(system, { vm: 'several', disk: 'vda' });
    expect(result).toMatchObject({
      mode: 'active',
      chainAfter: chain.slice(0, 1),
      deleted: chain.slice(1),
    });
    await expectLeftClean(scene, ['several.qcow2']);
    await verifyAfterCrash();
  });

  it('commits into the next volume down when it is --shallow', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'shallow', layers: 2 });
    const result = await merged(system, { vm: 'shallow', disk: 'vda', shallow: true });
    expect(result).toMatchObject({ mode: 'active', chainAfter: chain.slice(0, 2) });
    await expectLeftClean(scene, ['shallow.qcow2', 'shallow-snap1.qcow2']);
    await verifyAfterCrash();
  });

  it('commits several inner layers into a base in the middle', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'middle', layers: 4 });
    const [bottom, base, , top, active] = chain;
    const result = await merged(system, { vm: 'middle', disk: 'vda', top: top ?? '', base });
    expect(result).toMatchObject({ mode: 'inner', chainAfter: [bottom, base, active] });
    await expectLeftClean(scene, ['middle.qcow2', 'middle-snap1.qcow2', 'middle-snap4.qcow2']);
    await verifyAfterCrash();
  });

  it('finds volumes by their name in the pool', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'named', layers: 2 });
    const top = 'named-snap1.qcow2';
    const result = await merged(system, { vm: 'named', disk: 'vda', top, base: 'named.qcow2' });
    expect(result).toMatchObject({ mode: 'inner', chainAfter: [chain[0], chain[2]] });
    await expectLeftClean(scene, ['named.qcow2', 'named-snap2.qcow2']);
    await verifyAfterCrash();
  });

  it('finds volumes by their index in the running chain', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'index', layers: 2 });
    const xml = await system.host.virsh('dumpxml', 'index');
    const at = xml.indexOf('index-snap1.qcow2');
    const index = /index='(\d+)'/.exec(xml.slice(xml.lastIndexOf('<backingStore', at)))?.[1];
    const result = await merged(system, { vm: 'index', disk: 'vda', base: `vda[${index}]` });
    expect(result).toMatchObject({ mode: 'active', chainAfter: chain.slice(0, 2) });
    await verifyAfterCrash();
  });

  it('commits into a raw base and boots it as raw', async () => {
    const { chain, guest, verifyAfterCrash } = await start({ vm: 'raw', layers: 2, format: 'raw' });
    const result = await merged(system, { vm: 'raw', disk: 'vda' });
    expect(result).toMatchObject({ mode: 'active', chainAfter: [chain[0]] });
    await guest.kill();
    await guest.start();
    await guest.waitForAcks(20);
    await expectLeftClean(scene, ['raw.raw']);
    await verifyAfterCrash();
  });
});

describe('what else a merge may meet', () => {
  it('follows a new limit while the job runs', async () => {
    const { verifyAfterCrash } = await start({ vm: 'limited' });
    const limit = (bytes: number) =>
      waitUntil(`a limit of ${bytes}`, async () => {
        const job = await system.host.virsh('blockjob', 'limited', 'vda', '--raw', '--bytes');
        return job.includes(`bandwidth=${bytes}`);
      });
    const request = { vm: 'limited', disk: 'vda', bandwidthBytesPerSecond: 65536 };
    const merge = await system.merge(request);
    await limit(65536);
    const bandwidth = (bytes: number) => merge.executeUpdate('bandwidth', { args: [bytes] });
    expect(await bandwidth(131072)).toBe('128.0 KiB/s');
    await limit(131072);
    expect(await bandwidth(0)).toBe('no limit');
    expect(await merge.result()).toMatchObject({ outcome: 'merged' });
    await expectLeftClean(scene, ['limited.qcow2']);
    await verifyAfterCrash();
  });

  it('merges a VM that has no persistent XML', async () => {
    const { chain, guest, files } = await start({ vm: 'transient' });
    await system.host.virsh('undefine', 'transient');
    const result = await merged(system, { vm: 'transient', disk: 'vda' });
    expect(result).toMatchObject({ mode: 'active', chainAfter: chain.slice(0, 1) });
    await guest.waitForAcks(20);
    expect(await files()).toEqual(['transient.qcow2']);
    expect((await bothXml(system, 'transient')).join()).not.toContain('urn:blockflow');
    await guest.kill();
    await expectGuestData(guest, { path: chain[0] as string, format: 'qcow2' });
  });

  it('merges two disks of a VM at the same time, with a record for each', async () => {
    const here = await start({ vm: 'both', layers: 0 });
    const data = await createImage(join(here.pool, 'both-data.qcow2'));
    const options = ['--targetbus', 'virtio', '--driver', 'qemu', '--subdriver', 'qcow2'];
    await system.host.virsh('attach-disk', 'both', data, 'vdb', ...options, '--live', '--config');
    for (const disk of ['vda', 'vdb']) {
      const file = join(here.pool, `both-${disk}.qcow2`);
      await takeExternalSnapshot(system.host, 'both', { disk, file });
    }
    await here.guest.waitForAcks(20);
    const decided = await Promise.all(
      ['vda', 'vdb'].map((disk) => system.merge({ vm: 'both', disk, waitForDecision: true })),
    );
    for (const merge of decided) await untilPhase(merge, 'waiting for a decision');
    for (const xml of await bothXml(system, 'both')) {
      for (const disk of ['vda', 'vdb']) expect(xml).toContain(`urn:blockflow:job:${disk}`);
    }
    await Promise.all(decided.map((merge) => merge.executeUpdate('decide', { args: ['pivot'] })));
    const results = await Promise.all(decided.map((merge) => merge.result()));
    expect(results).toMatchObject([{ outcome: 'merged' }, { outcome: 'merged' }]);
    await here.guest.waitForAcks(20);
    await expectLeftClean(here, ['both.qcow2', 'both-data.qcow2']);
    await here.verifyAfterCrash();
  });
});
