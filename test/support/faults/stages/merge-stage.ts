/** One guest a scenario, used again: its chain is its base alone between two cases. */
import { basename, join } from 'node:path';
import { expect } from '@jest/globals';
import type { EffectName } from '../../../../activities/door/effect.ts';
import { observeEvents } from '../../../../activities/orchestrator/observe-events.ts';
import { expectGuestData } from '../../guest/guest-data.ts';
import type { System } from '../../host/system.ts';
import { expectLeftClean } from '../../scenes/merge-checks.ts';
import {
  activeLayer,
  startScene,
  startSharedSystem,
  type Scene,
} from '../../scenes/merge-scene.ts';
import { useSystem } from '../../scenes/use-system.ts';
import { scenarioOf, scenarios, type Scenario } from './merge-scenarios.ts';
import type { Stage } from './stage.ts';

/** Guests of a system for the scenarios; `writes` of theirs surround each case. */
export function useMergeStage(folder: string, writes = 0): Stage {
  const system = useSystem(() => startSharedSystem({ name: folder }));
  const { take, giveBack } = createScenes(system);
  return {
    system,
    async start(effect, arm) {
      const name = scenarioOf[effect as EffectName<'merge'>];
      const scenario: Scenario = scenarios[name];
      const scene = await take(name);
      const { guest } = scene;
      await awaken(scene);
      const writesBefore = guest.acknowledged();
      await guest.waitForAcks(writes);
      const request = await scenario.prepare(scene);
      await untilWrites(scene, writes);
      const lines = (await system.effects()).length;
      arm();
      const merge = await system.merge({ vm: guest.name, disk: 'vda', ...request });
      const steered = scenario.steer?.(scene, merge) ?? Promise.resolve();
      // What is struck may be what the user talks to.
      steered.catch(() => undefined);
      return {
        operation: merge,
        vm: guest.name,
        async expectEnd() {
          await steered;
          if (scenario.ends === 'cancelled') await expect(merge.result()).rejects.toThrow();
          else expect(await merge.result()).toMatchObject(scenario.ends);
        },
        async expectRight() {
          await steered.catch(() => undefined);
          const result = await merge.result().catch(() => null);
          await untilWrites(scene, writes);
          await finish(scene);
          const guestWrites = guest.acknowledged() - writesBefore;
          expect(guestWrites).toBeGreaterThanOrEqual(writes);
          expectOrder((await system.effects()).slice(lines));
          await expectWhole(scene);
          giveBack(name, scene);
          return { guestWrites, stallMs: result?.stallMs ?? null };
        },
      };
    },
  };
}

/** One scene a scenario, in the hands of a case or here; what is not given back is closed. */
function createScenes(system: System) {
  const scenes = new Map<string, Scene>();
  let built = 0;
  let taken: Scene | null = null;
  return {
    async take(scenario: string): Promise<Scene> {
      await taken?.close();
      const vm = `${scenario.replace(' ', '')}${++built}`;
      const guest = { slots: 16, writesPerSecond: 200 };
      taken = scenes.get(scenario) ?? (await startScene({ system, vm, layers: 0, guest }));
      scenes.delete(scenario);
      return taken;
    },
    giveBack(scenario: string, scene: Scene): void {
      scenes.set(scenario, scene);
      taken = null;
    },
  };
}

async function stateOf({ system, guest }: Scene): Promise<string> {
  return (await system.host.virsh('domstate', guest.name)).trim();
}

/** Waits for so many writes, of a guest that runs. */
async function untilWrites(scene: Scene, writes: number): Promise<void> {
  if ((await stateOf(scene)) === 'running') await scene.guest.waitForAcks(writes);
}

/** Lets the guest of an earlier case run. */
async function awaken(scene: Scene): Promise<void> {
  const state = await stateOf(scene);
  if (state === 'paused') await scene.system.host.virsh('resume', scene.guest.name);
  if (state === 'shut off') await scene.guest.start(60_000);
}

/** Repeats the plain request until base is all that is left, as a user would. */
async function finish(scene: Scene): Promise<void> {
  const { system, guest } = scene;
  for (let i = 0; i < 3 && (await activeLayer(guest)).path !== scene.chain[0]; i++) {
    const rest = await system.merge({ vm: guest.name, disk: 'vda' });
    await rest.result().catch((error: unknown) => i < 2 || Promise.reject(error as Error));
  }
}

/** Every acknowledged write is on the disk, base is all that is left, each event is there once. */
async function expectWhole(scene: Scene): Promise<void> {
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
