/**
 * The crash matrix: every effect x every point x every victim x kill or freeze, generated from the
 * registry of effects. `npm test` runs a few cases, others each day; `npm run test:crash` all; one
 * by its name: `npm test -- -t 'libvirt.pivot, during: kill host'`.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { effectNames, type EffectName } from '../../activities/effect.ts';
import { points, runCrashCase } from '../support/crash-case.ts';
import type { CrashCase, Victim } from '../support/crash-case.ts';
import { dailySample } from '../support/daily-sample.ts';
import { scenarioNameOf } from '../support/effect-scenarios.ts';
import { agentOf } from '../support/faults.ts';
import { startScene, startSharedSystem, type Scene } from '../support/merge-scene.ts';
import type { System } from '../support/system.ts';

const processes: readonly Victim[] = [
  'orchestrator',
  'host',
  'spm',
  'libvirtd',
  'qemu',
  'temporal',
];

const strikesOf = (effect: EffectName, victim: Victim) =>
  victim === agentOf(effect)
    ? (['kill', 'freeze', 'kill twice'] as const)
    : (['kill', 'freeze'] as const);

const cases: CrashCase[] = effectNames.flatMap((effect) =>
  points.flatMap((point) =>
    processes.flatMap((victim) =>
      strikesOf(effect, victim).map((strike) => ({ effect, point, victim, strike })),
    ),
  ),
);
const nameOf = ({ effect, point, victim, strike }: CrashCase) =>
  `${effect}, ${point}: ${strike} ${victim}`;

let system: System;
beforeAll(async () => {
  system = await startSharedSystem({ name: 'crash' });
});
afterAll(() => system.close());

/** One guest a scenario; one that a case has left in a bad state is no scene for another. */
const scenes = new Map<string, Scene>();
let built = 0;

async function sceneOf(effect: EffectName): Promise<Scene> {
  const name = scenarioNameOf(effect);
  const vm = `${name.replace(' ', '')}${++built}`;
  const guest = { slots: 16, writesPerSecond: 200 };
  return scenes.get(name) ?? startScene({ system, vm, layers: 0, guest });
}

it('has every effect, point and victim', () => {
  expect(cases.length).toBe(effectNames.length * points.length * (processes.length * 2 + 1));
});

it.each(dailySample(cases, 97).map((test) => [nameOf(test), test] as const))(
  '%s',
  async (_, test) => {
    const name = scenarioNameOf(test.effect);
    const scene = await sceneOf(test.effect);
    scenes.delete(name);
    try {
      await runCrashCase(scene, test);
      scenes.set(name, scene);
    } finally {
      await system.revive();
      if (!scenes.has(name)) await scene.close();
    }
  },
);
