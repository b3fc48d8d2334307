/**
 * What makes each effect of a merge happen: one guest a scenario, used again, whose chain is its
 * base alone between two cases.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { pivotResultFile } from '../../../activities/adapters/virsh/safe-pivot.ts';
import type { EffectName } from '../../../activities/door/effect.ts';
import { observeEvents } from '../../../activities/orchestrator/observe-events.ts';
import { expectGuestData } from '../guest/guest-data.ts';
import { addLayer } from '../guest/layers.ts';
import { expectLeftClean, type Request } from '../scenes/merge-checks.ts';
import { SLOW, untilCopying } from '../scenes/merge-proofs.ts';
import { activeLayer, type Scene } from '../scenes/merge-scene.ts';

export interface Scenario {
  /** Brings a running guest with one volume to where the request is made. */
  prepare(scene: Scene): Promise<Omit<Request, 'vm' | 'disk'>>;
  /** What a user does to the running operation. */
  steer?(scene: Scene, merge: WorkflowHandle): Promise<void>;
  /** How it ends when nothing strikes; a cancelled one has no outcome. */
  ends: { outcome: string; mode: string } | 'cancelled';
}

const LIMITED = { bandwidthBytesPerSecond: SLOW };
const ACTIVE = { outcome: 'merged', mode: 'active' };

/** A layer, and a request that copies it slowly enough to be met at it. */
async function limited(scene: Scene) {
  await addLayer(scene);
  return LIMITED;
}

export const scenarios = {
  active: {
    ends: ACTIVE,
    async prepare(scene) {
      await addLayer(scene);
      return {};
    },
  },
  snapshots: {
    ends: { outcome: 'merged', mode: 'inner' },
    async prepare(scene) {
      await addLayer(scene, 'one');
      await addLayer(scene, 'two');
      return { snapshot: 'one' };
    },
  },
  bandwidth: {
    ends: ACTIVE,
    prepare: limited,
    async steer(scene, merge) {
      await untilCopying(scene);
      await merge.executeUpdate('bandwidth', { args: [0] });
    },
  },
  cancel: {
    ends: 'cancelled',
    prepare: limited,
    async steer(scene, merge) {
      await untilCopying(scene);
      await merge.cancel();
    },
  },
  cold: {
    ends: { outcome: 'merged', mode: 'cold' },
    async prepare(scene) {
      await addLayer(scene);
      await scene.system.host.virsh('destroy', scene.guest.name);
      return {};
    },
  },
  'cold inner': {
    ends: { outcome: 'merged', mode: 'cold' },
    async prepare(scene) {
      const top = await addLayer(scene);
      await addLayer(scene);
      await scene.system.host.virsh('destroy', scene.guest.name);
      return { top };
    },
  },
  /** An earlier pivot's script, and its agent with it, died while the guest was suspended. */
  suspended: {
    ends: ACTIVE,
    async prepare(scene) {
      const { system, guest } = scene;
      await addLayer(scene);
      const vmUuid = (await system.host.virsh('domuuid', guest.name)).trim();
      await mkdir(system.runtimeDir, { recursive: true });
      const report = pivotResultFile(system.runtimeDir, { vmUuid, disk: 'vda' });
      await writeFile(report, 'guest=running\npivot=unknown\nresumed=no\n');
      await system.host.virsh('suspend', guest.name);
      return {};
    },
  },
} satisfies Record<string, Scenario>;
export type ScenarioName = keyof typeof scenarios;
export type MergeEffect = EffectName<'merge'>;

/** The scenario that every effect happens in. A new effect needs one. */
const scenarioOf: Record<MergeEffect, ScenarioName> = {
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
export const scenarioNameOf = (effect: MergeEffect): ScenarioName => scenarioOf[effect];
export const scenarioFor = (effect: MergeEffect): Scenario => scenarios[scenarioOf[effect]];

export async function stateOf({ system, guest }: Scene): Promise<string> {
  return (await system.host.virsh('domstate', guest.name)).trim();
}

/** Lets the guest of an earlier case run. */
export async function awaken(scene: Scene): Promise<void> {
  const state = await stateOf(scene);
  if (state === 'paused') await scene.system.host.virsh('resume', scene.guest.name);
  if (state === 'shut off') await scene.guest.start(60_000);
}

/** Repeats the plain request until base is all that is left, as a user would. */
export async function finish(scene: Scene): Promise<void> {
  const { system, guest } = scene;
  for (let i = 0; i < 3 && (await activeLayer(guest)).path !== scene.chain[0]; i++) {
    const rest = await system.merge({ vm: guest.name, disk: 'vda' });
    await rest.result().catch((error: unknown) => i < 2 || Promise.reject(error as Error));
  }
}

/** Every acknowledged write is on the disk, base is all that is left, each event is there once. */
export async function expectRight(scene: Scene): Promise<void> {
  const { system, guest } = scene;
  const virsh = (...args: string[]) => system.host.virsh(...args);
  await expectLeftClean(scene, [`${guest.name}.qcow2`]);
  expect((await virsh('snapshot-list', guest.name, '--name')).trim()).toBe('');
  const state = await stateOf(scene);
  // I12: only blockflow has paused it.
  expect(['running', 'shut off']).toContain(state);
  // It rests until its next case: idle guests would take the cores from the one at work.
  if (state === 'running') {
    expect(await virsh('blockjob', guest.name, 'vda')).toContain('No current');
    await virsh('suspend', guest.name);
  }
  await expectGuestData(guest, { ...(await activeLayer(guest)), forceShare: true });
  const folder = join(system.stateDir, 'events');
  const deps = { folder, effect: () => Promise.reject(new Error('reads only')) };
  const events = await observeEvents(deps, { vm: guest.name, limit: 1000 });
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
}
