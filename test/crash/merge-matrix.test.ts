/**
 * The crash matrix of LiveMerge: every effect x every point x every victim x kill or freeze,
 * generated from the registry of effects. `npm test` runs a sample, `npm run
 * test:crash` all; one by its name: `npm test -- -t 'libvirt.pivot, during: kill host'`.
 */
import { basename } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { keepInLedger, type CrashCase } from '../support/faults/crash-ledger.ts';
import { sample } from '../support/sample.ts';
import {
  awaken,
  expectRight,
  finish,
  scenarioFor,
  scenarioNameOf,
  stateOf,
  type MergeEffect,
} from '../support/faults/effect-scenarios.ts';
import { startScene, startSharedSystem, type Scene } from '../support/scenes/merge-scene.ts';
import { nameOf, strikes, type Strike } from '../support/faults/strike-list.ts';
import { armPoint, strike } from '../support/faults/strike.ts';
import type { System } from '../support/host/system.ts';

/** Guest writes that a case has to be surrounded by. */
const WRITES = 100;

let system: System;
beforeAll(async () => {
  system = await startSharedSystem({ name: 'crash' });
});
afterAll(() => system.close());

/** One guest a scenario; one that a case has left in a bad state is no scene for another. */
const scenes = new Map<string, Scene>();
let built = 0;

async function takeScene(effect: MergeEffect): Promise<Scene> {
  const name = scenarioNameOf(effect);
  const scene = scenes.get(name);
  scenes.delete(name);
  const vm = `${name.replace(' ', '')}${++built}`;
  const guest = { slots: 16, writesPerSecond: 200 };
  return scene ?? startScene({ system, vm, layers: 0, guest });
}

const sampled = sample('strikes on merges', strikes.merge, 97);
it.each(sampled.map((planned) => [nameOf(planned), planned] as const))('%s', async (_, planned) => {
  const { effect } = planned;
  const scene = await takeScene(effect);
  const seen: Measured = { guestWrites: 0, recoveryMs: null, stallMs: null };
  let passed = false;
  try {
    await mergeUnder(scene, planned, seen);
    passed = true;
    scenes.set(scenarioNameOf(effect), scene);
  } finally {
    await system.revive();
    if (!passed) await scene.close();
    const { victim } = planned;
    await keepInLedger({ matrix: 'merge', name: nameOf(planned), victim, passed, ...seen });
  }
});

type Measured = Pick<CrashCase, 'guestWrites' | 'recoveryMs' | 'stallMs'>;

/** Strikes a merge, heals, and looks whether it ends right. @param seen what was measured so far */
async function mergeUnder(
  scene: Scene,
  planned: Strike<MergeEffect>,
  seen: Measured,
): Promise<void> {
  const { guest } = scene;
  const scenario = scenarioFor(planned.effect);
  await awaken(scene);
  const writesBefore = guest.acknowledged();
  await guest.waitForAcks(WRITES);
  const request = await scenario.prepare(scene);
  if ((await stateOf(scene)) === 'running') await guest.waitForAcks(WRITES);
  const lines = (await system.effects()).length;
  armPoint(system, planned);
  const merge = await system.merge({ vm: guest.name, disk: 'vda', ...request });
  const steered = scenario.steer?.(scene, merge).catch(() => undefined);
  await strike(system, planned, merge, guest.name);
  const struckAt = performance.now();
  await system.revive();
  await steered;
  const result = await merge.result().catch(() => null);
  seen.recoveryMs = Math.round(performance.now() - struckAt);
  seen.stallMs = result?.stallMs ?? null;
  if ((await stateOf(scene)) === 'running') await guest.waitForAcks(WRITES);
  await finish(scene);
  seen.guestWrites = guest.acknowledged() - writesBefore;
  expect(seen.guestWrites).toBeGreaterThanOrEqual(WRITES);
  expectOrder((await system.effects()).slice(lines));
  await expectRight(scene);
}

const SWITCHES = ['libvirt.start-commit', 'libvirt.pivot', 'libvirt.switch-disk-source'];

/** I3: a volume is unlinked only after it was taken out of sight, and no chain changes between. */
function expectOrder(lines: readonly string[]): void {
  const hidden = new Set<string>();
  for (const [at, line] of lines.entries()) {
    const [name = '', target = ''] = line.split(' ');
    const file = basename(target);
    if (name === 'storage.quarantine-volume') hidden.add(file);
    if (SWITCHES.includes(name)) expect([...hidden]).toEqual([]);
    if (name !== 'storage.unlink-volume') continue;
    const hiddenName = file.replace(/^[0-9a-f-]{36}-/, '');
    expect([...hidden]).toContain(hiddenName);
    if (!lines.slice(at + 1).includes(line)) hidden.delete(hiddenName);
  }
}
