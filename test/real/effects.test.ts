/**
 * Properties of all effects, from the registry: done twice, done and then reported as failed,
 * failed before it started. Whatever strikes, the merge ends as it would have, and leaves
 * nothing.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pivotResultFile } from '../../activities/adapters/safe-pivot.ts';
import { effectNames, type EffectName } from '../../activities/effect.ts';
import { observeEvents } from '../../activities/orchestrator/audit-log.ts';
import { dailySample } from '../support/daily-sample.ts';
import { armFault, isArmed } from '../support/faults.ts';
import { addLayer } from '../support/layers.ts';
import { expectLeftClean, SMALL } from '../support/merge-checks.ts';
import { activeLayer, startScene, startSharedSystem, type Scene } from '../support/merge-scene.ts';
import { expectNoLoss, verifyGuestData } from '../support/oracle.ts';
import type { System } from '../support/system.ts';
import { waitUntil } from '../support/wait-until.ts';

let system: System;
beforeAll(async () => {
  system = await startSharedSystem({ name: 'effects' });
});
afterAll(() => system.close());

/** A merge in which an effect happens: adds layers to the scene's chain, and merges or cancels. */
type Scenario = (scene: Scene, layer: (name?: string) => Promise<string>) => Promise<void>;
type Ends = { outcome: string; mode?: string };

const merge = async (scene: Scene, request: object, ends: Ends) => {
  const handle = await system.merge({ vm: scene.guest.name, disk: 'vda', ...request });
  expect(await handle.result()).toMatchObject(ends);
};
const slow = { bandwidthBytesPerSecond: 65536 };
const stopped = (scene: Scene) => system.host.virsh('destroy', scene.guest.name);

const scenarios = {
  async active(scene, layer) {
    await layer();
    await merge(scene, {}, { outcome: 'merged', mode: 'active' });
  },
  async snapshots(scene, layer) {
    await layer('one');
    await layer('two');
    await merge(scene, { snapshot: 'one' }, { outcome: 'merged', mode: 'inner' });
    const names = () => system.host.virsh('snapshot-list', scene.guest.name, '--name');
    expect((await names()).trim()).toBe('two');
    await merge(scene, { snapshot: 'two' }, { outcome: 'merged', mode: 'active' });
    expect((await names()).trim()).toBe('');
  },
  async bandwidth(scene, layer) {
    await layer();
    const handle = await system.merge({ vm: scene.guest.name, disk: 'vda', ...slow });
    const job = () => system.host.virsh('blockjob', scene.guest.name, 'vda');
    await waitUntil('the job', async () => !(await job()).includes('No current'));
    await handle.executeUpdate('bandwidth', { args: [0] });
    expect(await handle.result()).toMatchObject({ outcome: 'merged' });
  },
  async cancel(scene, layer) {
    await layer();
    const handle = await system.merge({ vm: scene.guest.name, disk: 'vda', ...slow });
    const job = () => system.host.virsh('blockjob', scene.guest.name, 'vda');
    await waitUntil('the job', async () => !(await job()).includes('No current'));
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    expect(await system.host.virsh('blockjob', scene.guest.name, 'vda')).toContain('No current');
    await merge(scene, {}, { outcome: 'merged' });
  },
  async cold(scene, layer) {
    await layer();
    await stopped(scene);
    await merge(scene, {}, { outcome: 'merged', mode: 'cold' });
  },
  async 'cold inner'(scene, layer) {
    const top = await layer();
    await layer();
    await stopped(scene);
    await merge(scene, { top }, { outcome: 'merged', mode: 'cold' });
    await merge(scene, {}, { outcome: 'merged', mode: 'cold' });
  },
  /** An earlier pivot's script, and its agent with it, died while the guest was suspended. */
  async suspended(scene, layer) {
    await layer();
    const vm = scene.guest.name;
    const vmUuid = (await system.host.virsh('domuuid', vm)).trim();
    await mkdir(system.runtimeDir, { recursive: true });
    const report = pivotResultFile(system.runtimeDir, { vmUuid, disk: 'vda' });
    await writeFile(report, 'guest=running\npivot=unknown\nresumed=no\n');
    await system.host.virsh('suspend', vm);
    await merge(scene, {}, { outcome: 'merged', mode: 'active' });
    expect((await system.host.virsh('domstate', vm)).trim()).toBe('running');
  },
} satisfies Record<string, Scenario>;

/** The scenario that every effect happens in. A new effect needs one. */
const scenarioOf: Partial<Record<EffectName, keyof typeof scenarios>> = {
  'libvirt.record-job': 'active',
  'libvirt.start-commit': 'active',
  'libvirt.set-job-bandwidth': 'bandwidth',
  'libvirt.abort-job': 'cancel',
  'libvirt.pivot': 'active',
  'libvirt.resume-guest': 'suspended',
  'libvirt.forget-job': 'active',
  'libvirt.redefine-snapshot': 'snapshots',
  'libvirt.delete-snapshot-record': 'snapshots',
  'libvirt.switch-disk-source': 'cold',
  'qemu-img.commit': 'cold',
  'qemu-img.rebase': 'cold inner',
  'storage.quarantine-volume': 'active',
  'storage.unlink-volume': 'active',
  'audit.append-event': 'active',
};

/** One guest a scenario, used again: after each case its chain is the base alone. */
const scenes = new Map<string, Promise<Scene>>();

function sceneOf(name: keyof typeof scenarios): Promise<Scene> {
  const vm = name.replace(' ', '');
  const scene = scenes.get(name) ?? startScene({ system, vm, layers: 0, guest: SMALL });
  scenes.set(name, scene);
  return scene;
}

/** Every acknowledged write is on the disk, and base is all that is left. */
async function expectRight(scene: Scene): Promise<void> {
  const { guest } = scene;
  const virsh = (...args: string[]) => system.host.virsh(...args);
  await expectLeftClean(scene, [`${guest.name}.qcow2`]);
  // It rests until its next case: idle guests would take the cores from the one at work.
  if ((await stateOf(scene)) === 'running') await virsh('suspend', guest.name);
  const { path, format } = await activeLayer(guest);
  const { parameters } = guest.disk;
  const acknowledged = guest.acknowledged();
  const question = { imagePath: path, format, parameters, acknowledged, forceShare: true };
  expectNoLoss(await verifyGuestData(question), guest.serial);
}

async function stateOf({ guest }: Scene): Promise<string> {
  return (await system.host.virsh('domstate', guest.name)).trim();
}

async function awaken(scene: Scene): Promise<void> {
  const state = await stateOf(scene);
  if (state === 'paused') await system.host.virsh('resume', scene.guest.name);
  if (state === 'shut off') await scene.guest.start();
}

async function passings(effect: EffectName): Promise<number> {
  return (await system.effects()).filter((line) => line.startsWith(`${effect} `)).length;
}

describe.each(dailySample(effectNames, 5))('%s', (effect) => {
  it.each(['twice', 'fail-after', 'fail-before'] as const)('%s', async (action) => {
    const name = scenarioOf[effect];
    if (!name) throw new Error(`no scenario in which ${effect} happens`);
    const scene = await sceneOf(name);
    await awaken(scene);
    const before = await passings(effect);
    armFault(system.trace, { effect, action });
    await scenarios[name](scene, (layerName) => addLayer(scene, layerName));
    expect(isArmed(system.trace)).toBe(false);
    // What was not done is done later; what was done is seen, and perhaps not done again.
    if (action === 'fail-before') expect(await passings(effect)).toBeGreaterThan(before + 1);
    await expectRight(scene);
    const folder = join(system.stateDir, 'events');
    const deps = { folder, effect: () => Promise.reject(new Error('reads only')) };
    const events = await observeEvents(deps, { vm: scene.guest.name, limit: 1000 });
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  });
});
