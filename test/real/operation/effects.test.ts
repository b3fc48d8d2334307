/**
 * Properties of all effects, from the registry: done twice, done and then reported as failed,
 * failed before it started. Whatever strikes, the merge ends as it would have, and leaves
 * nothing.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { effectsOf } from '../../../activities/door/effect.ts';
import { sample } from '../../support/sample.ts';
import {
  awaken,
  expectRight,
  finish,
  scenarioFor,
  scenarioNameOf,
  type MergeEffect,
} from '../../support/faults/effect-scenarios.ts';
import { armFault, isArmed } from '../../support/faults/faults.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { startScene, startSharedSystem, type Scene } from '../../support/scenes/merge-scene.ts';
import type { System } from '../../support/host/system.ts';

let system: System;
beforeAll(async () => {
  system = await startSharedSystem({ name: 'effects' });
});
afterAll(() => system.close());

const scenes = new Map<string, Promise<Scene>>();

function sceneOf(effect: MergeEffect): Promise<Scene> {
  const vm = scenarioNameOf(effect).replace(' ', '');
  const scene = scenes.get(vm) ?? startScene({ system, vm, layers: 0, guest: SMALL });
  scenes.set(vm, scene);
  return scene;
}

async function passings(effect: MergeEffect): Promise<number> {
  return (await system.effects()).filter((line) => line.startsWith(`${effect} `)).length;
}

describe.each(sample('effects of merges', effectsOf('merge'), 5))('%s', (effect) => {
  it.each(['twice', 'fail-after', 'fail-before'] as const)('%s', async (action) => {
    const scene = await sceneOf(effect);
    const scenario = scenarioFor(effect);
    await awaken(scene);
    const before = await passings(effect);
    armFault(system.trace, { effect, action });
    const request = await scenario.prepare(scene);
    const merge = await system.merge({ vm: scene.guest.name, disk: 'vda', ...request });
    await scenario.steer?.(scene, merge);
    if (scenario.ends === 'cancelled') await expect(merge.result()).rejects.toThrow();
    else expect(await merge.result()).toMatchObject(scenario.ends);
    await finish(scene);
    expect(isArmed(system.trace)).toBe(false);
    // What was not done is done later; what was done is seen, and perhaps not done again.
    if (action === 'fail-before') expect(await passings(effect)).toBeGreaterThan(before + 1);
    await expectRight(scene);
  });
});
