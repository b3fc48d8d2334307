/**
 * One case of the crash matrix: while an effect stands still at a point, a victim is killed or
 * frozen. Then everything is healed, and the operation has to end right.
 */
import { basename } from 'node:path';
import { expect } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import type { EffectName } from '../../activities/effect.ts';
import { awaken, expectRight, finish, scenarioFor, stateOf } from './effect-scenarios.ts';
import { agentOf, armFault, disarmFault, isArmed } from './faults.ts';
import type { Scene } from './merge-scene.ts';
import { isAlive, isPaused } from './processes.ts';
import { waitUntil } from './wait-until.ts';

/** Before the effect; when it has begun and its agent stands still; when it is done but untold. */
export const points = ['before', 'during', 'after'] as const;
export type Victim = 'orchestrator' | 'host' | 'spm' | 'libvirtd' | 'qemu' | 'temporal';

/** `kill twice`: the agent dies again at the next effect, in its recovery. */
export interface CrashCase {
  effect: EffectName;
  point: (typeof points)[number];
  victim: Victim;
  strike: 'kill' | 'freeze' | 'kill twice';
}

/** How long a frozen process stands still; the one that holds the effect: till it is given up. */
const FREEZE_MS = 1500;
/** Guest writes that a case has to be surrounded by. */
const WRITES = 100;

/** Runs one case to its clean end, and leaves the scene for the next. */
export async function runCrashCase(scene: Scene, test: CrashCase): Promise<void> {
  const { system, guest } = scene;
  const { effect, point, victim } = test;
  const scenario = scenarioFor(effect);
  const agent = agentOf(effect);
  await awaken(scene);
  const writesBefore = guest.acknowledged();
  const request = await scenario.prepare(scene);
  if ((await stateOf(scene)) === 'running') await guest.waitForAcks(WRITES);
  const lines = (await system.effects()).length;
  armFault(system.trace, { effect, action: `stop-${point}` });
  const merge = await system.merge({ vm: guest.name, disk: 'vda', ...request });
  const steered = scenario.steer?.(scene, merge).catch(() => undefined);
  await system.roleStopped(agent);
  expect(isArmed(system.trace)).toBe(false);
  await (victim === agent ? strikeAgent(scene, test, merge) : strikeOther(scene, test));
  await system.revive();
  await steered;
  await merge.result().catch(() => undefined);
  if ((await stateOf(scene)) === 'running') await guest.waitForAcks(WRITES);
  await finish(scene);
  expect(guest.acknowledged() - writesBefore).toBeGreaterThanOrEqual(WRITES);
  expectOrder((await system.effects()).slice(lines));
  await expectRight(scene);
}

/** The process that holds the effect is struck itself. */
async function strikeAgent(scene: Scene, test: CrashCase, merge: WorkflowHandle): Promise<void> {
  const { system } = scene;
  const agent = agentOf(test.effect);
  if (test.strike === 'freeze') {
    if (agent === 'orchestrator') await frozen();
    else await untilGivenUp(merge);
    return system.signalRole(agent, 'SIGCONT');
  }
  const pid = system.rolePid(agent);
  await system.killRole(agent);
  expect(isAlive(pid)).toBe(false);
  if (test.strike === 'kill') return;
  armFault(system.trace, { effect: `any of ${agent}`, action: 'kill-before' });
  await system.startRole(agent);
  // Recovery may find all done, and then needs no effect in which the agent could die.
  await Promise.race([system.roleEnded(agent), merge.result().catch(() => undefined)]);
  disarmFault(system.trace);
}

/** Another process is struck while the agent stands still, which then goes on. */
async function strikeOther(scene: Scene, { effect, victim, strike }: CrashCase): Promise<void> {
  const { system, guest } = scene;
  const pid = pidOf(scene, victim);
  const go = () => system.signalRole(agentOf(effect), 'SIGCONT');
  // A scenario whose VM is down has no QEMU: the nearest thing is a case of the agent alone.
  if (pid === null) return go();
  if (strike === 'kill') {
    if (victim === 'qemu') await system.host.killQemu(guest.name);
    else if (victim === 'libvirtd') await system.host.killLibvirtd();
    else if (victim === 'temporal') await system.killTemporal();
    else await system.killRole(victim);
    expect(isAlive(pid)).toBe(false);
    return go();
  }
  process.kill(pid, 'SIGSTOP');
  await waitUntil(`${victim} to stand still`, () => isPaused(pid));
  go();
  await frozen();
  process.kill(pid, 'SIGCONT');
}

function pidOf({ system, guest }: Scene, victim: Victim): number | null {
  if (victim === 'libvirtd') return system.host.libvirtdPid();
  if (victim === 'temporal') return system.temporal.pid;
  if (victim !== 'qemu') return system.rolePid(victim);
  try {
    return system.host.qemuPid(guest.name);
  } catch {
    return null;
  }
}

/** The fault itself lasts so long; nothing is waited for here. */
const frozen = () => new Promise((resolve) => setTimeout(resolve, FREEZE_MS));

/** Until Temporal takes the frozen agent for dead: from then on two attempts may be at work. */
async function untilGivenUp(merge: WorkflowHandle): Promise<void> {
  await waitUntil('Temporal to give the agent up', async () => {
    const { raw } = await merge.describe();
    return (raw.pendingActivities ?? []).some(({ attempt }) => (attempt ?? 1) > 1);
  });
}

const SWITCHES = ['libvirt.start-commit', 'libvirt.pivot', 'libvirt.switch-disk-source'];

/** I3: a volume is unlinked only after it was taken out of sight, and no chain changes between. */
function expectOrder(lines: readonly string[]): void {
  const hidden = new Set<string>();
  for (const line of lines) {
    const [name = '', target = ''] = line.split(' ');
    const file = basename(target);
    if (name === 'storage.quarantine-volume') hidden.add(file);
    if (SWITCHES.includes(name)) expect([...hidden]).toEqual([]);
    if (name !== 'storage.unlink-volume') continue;
    const hiddenName = file.replace(/^[0-9a-f-]{36}-/, '');
    expect([...hidden]).toContain(hiddenName);
    if (lines.slice(lines.indexOf(line) + 1).includes(line)) continue;
    hidden.delete(hiddenName);
  }
}
