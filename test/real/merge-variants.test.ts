import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { expectLeftClean, merged, SMALL } from '../support/merge-checks.ts';
import { startScene, startSharedSystem, type Scene } from '../support/merge-scene.ts';
import type { SceneOptions } from '../support/merge-scene.ts';
import type { System } from '../support/system.ts';

let system: System;
let scene: Scene | undefined;
beforeAll(async () => {
  system = await startSharedSystem();
});
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});
afterAll(() => system?.close());

const start = async (options: SceneOptions) =>
  (scene = await startScene({ system, guest: SMALL, ...options }));

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
    await expectLeftClean(scene as Scene, [
      'inner.qcow2',
      'inner-snap1.qcow2',
      'inner-snap3.qcow2',
    ]);
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
    await expectLeftClean(scene as Scene, ['several.qcow2']);
    await verifyAfterCrash();
  });

  it('commits into the next volume down when it is --shallow', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'shallow', layers: 2 });
    const result = await merged(system, { vm: 'shallow', disk: 'vda', shallow: true });
    expect(result).toMatchObject({ mode: 'active', chainAfter: chain.slice(0, 2) });
    await expectLeftClean(scene as Scene, ['shallow.qcow2', 'shallow-snap1.qcow2']);
    await verifyAfterCrash();
  });

  it('commits several inner layers into a base in the middle', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'middle', layers: 4 });
    const [bottom, base, , top, active] = chain;
    const result = await merged(system, { vm: 'middle', disk: 'vda', top: top ?? '', base });
    expect(result).toMatchObject({ mode: 'inner', chainAfter: [bottom, base, active] });
    await expectLeftClean(scene as Scene, [
      'middle.qcow2',
      'middle-snap1.qcow2',
      'middle-snap4.qcow2',
    ]);
    await verifyAfterCrash();
  });

  it('finds volumes by their name in the pool', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'named', layers: 2 });
    const top = 'named-snap1.qcow2';
    const result = await merged(system, { vm: 'named', disk: 'vda', top, base: 'named.qcow2' });
    expect(result).toMatchObject({ mode: 'inner', chainAfter: [chain[0], chain[2]] });
    await expectLeftClean(scene as Scene, ['named.qcow2', 'named-snap2.qcow2']);
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
    await expectLeftClean(scene as Scene, ['raw.raw']);
    await verifyAfterCrash();
  });
});
