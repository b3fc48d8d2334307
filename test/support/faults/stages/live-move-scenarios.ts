/** What makes the effects happen that only the move of a running VM has, of a guest each. */
import { rm } from 'node:fs/promises';
import { expect } from '@jest/globals';
import type { System } from '../../host/system.ts';
import { startDeltaScene } from '../../scenes/transfer/delta-scene.ts';
import {
  expectInVault,
  startLiveMove,
  startSlowMirror,
  targetsOf,
} from '../../scenes/transfer/live-move-scene.ts';
import { startScene, type Scene } from '../../scenes/merge-scene.ts';
import { recordOf } from '../../scenes/transfer/move-scene.ts';
import { unlimit } from '../../scenes/transfer/slow-move.ts';
import { waitUntil } from '../../wait-until.ts';
import type { LiveEffect } from '../effects-of-moves.ts';
import { armFault } from '../faults.ts';
import { leaveSuspended } from './merge-scenarios.ts';
import type { StruckRun } from './stage.ts';
import { pivotInto } from '../struck-libvirtd.ts';
import { untilStatus } from '../../scenes/until-status.ts';

const MIB = 2 ** 20;

/** What a case has. */
interface Given {
  system: System;
  vm: string;
  /** Guest writes that surround the case. */
  writes: number;
  /** The next passing of the effect is the one to be struck. */
  arm: () => void;
}
type Move = Awaited<ReturnType<typeof startLiveMove>>;
type Scenario = (given: Given) => Promise<StruckRun>;

const layered = ({ system, vm }: Given) =>
  startScene({
    system,
    vm,
    layers: 1,
    snapshotNames: ['s1'],
    guest: { slots: 16, writesPerSecond: 200 },
  });

/** Waits for so many writes, of a guest that runs. */
async function untilWrites({ system, guest }: Scene, writes: number): Promise<void> {
  const state = (await system.host.virsh('domstate', guest.name)).trim();
  if (state === 'running') await guest.waitForAcks(writes, 60_000);
}

/** As a user goes on: what a Hold says, then the request again, until the disk is in the vault. */
async function finish(scene: Scene): Promise<void> {
  const { system, guest } = scene;
  const isThere = async () => (await recordOf(system, guest.name)) === targetsOf(scene).at(-1);
  for (let i = 0; i < 3 && !(await isThere()); i++) {
    const state = (await system.host.virsh('domstate', guest.name)).trim();
    if (state === 'paused') await system.host.virsh('destroy', guest.name);
    if (state !== 'running') await guest.start(60_000);
    const rest = await startLiveMove(scene);
    await rest.result().catch((error: unknown) => i < 2 || Promise.reject(error as Error));
  }
}

interface Steered {
  scene: Scene;
  move: Move;
  /** What a user does to it. */
  steered?: Promise<unknown>;
  end?: 'moved' | 'kept' | 'cancelled';
}

function runOf({ writes }: Given, before: number, run: Steered): StruckRun {
  const { scene, move, steered = Promise.resolve(), end = 'moved' } = run;
  const { guest } = scene;
  // What is struck may be what the user talks to.
  steered.catch(() => undefined);
  return {
    operation: move,
    vm: guest.name,
    async expectEnd() {
      await steered;
      if (end === 'cancelled') await expect(move.result()).rejects.toThrow();
      else expect(await move.result()).toMatchObject({ outcome: end, warnings: [] });
    },
    async expectRight() {
      await steered.catch(() => undefined);
      const ended = await move.result().catch(() => null);
      if (ended?.outcome === 'kept') await Promise.all(ended.chainAfter.map((file) => rm(file)));
      await untilWrites(scene, writes);
      await finish(scene);
      const guestWrites = guest.acknowledged() - before;
      expect(guestWrites).toBeGreaterThanOrEqual(writes);
      await expectInVault(scene);
      await scene.close();
      return { guestWrites, stallMs: null };
    },
  };
}

const mirrored: Scenario = async (given) => {
  const scene = await layered(given);
  const before = scene.guest.acknowledged();
  await untilWrites(scene, given.writes);
  given.arm();
  return runOf(given, before, { scene, move: await startLiveMove(scene) });
};

/** A mirror that is met at its work. */
const slow =
  (steer: (move: Move) => Promise<unknown>, end: Steered['end']): Scenario =>
  async (given) => {
    const scene = await startDeltaScene(given.system, { vm: given.vm, bytes: 24 * MIB });
    const before = scene.guest.acknowledged();
    const move = await startSlowMirror(scene);
    given.arm();
    return runOf(given, before, { scene, move, steered: steer(move), ...(end && { end }) });
  };

/** Kept at READY: the copy of that moment is deleted, and the disk moves after it. */
const kept: Scenario = async (given) => {
  const scene = await layered(given);
  const before = scene.guest.acknowledged();
  const move = await startLiveMove(scene, { waitForDecision: true });
  await untilStatus(move, 'READY', ({ phase }) => phase === 'waiting for a decision');
  given.arm();
  // A signal may come twice.
  const steered = waitUntil('the decision to be heard', () =>
    move.signal('decision', 'keep').then(() => true),
  );
  return runOf(given, before, { scene, move, steered, end: 'kept' });
};

function inTurn(scenarios: readonly Scenario[]): Scenario {
  let count = 0;
  return (given) => (scenarios[count++ % scenarios.length] ?? mirrored)(given);
}

/** An earlier run that was terminated at READY, and the agent with it. */
async function endedAtReady({ system }: Given, scene: Scene): Promise<void> {
  armFault(system.trace, { effect: 'libvirt.pivot', action: 'stop-before' });
  const earlier = await startLiveMove(scene);
  await system.roleStopped('host');
  await earlier.terminate();
  await system.killRole('host');
  await leaveSuspended(scene);
}

const suspended: Scenario = async (given) => {
  const scene = await layered(given);
  const before = scene.guest.acknowledged();
  await endedAtReady(given, scene);
  await given.system.startRole('host');
  given.arm();
  return runOf(given, before, { scene, move: await startLiveMove(scene) });
};

/** libvirtd did not survive the pivot, and has forgotten the mirror. */
const forgotten: Scenario = async (given) => {
  const scene = await layered(given);
  const before = scene.guest.acknowledged();
  await endedAtReady(given, scene);
  await pivotInto(given.system.host, scene.guest.name, { file: 'status', time: 1 });
  await given.system.startRole('host');
  given.arm();
  return runOf(given, before, { scene, move: await startLiveMove(scene) });
};

export const liveScenarios: Record<LiveEffect, Scenario> = {
  'image.create-top': mirrored,
  'libvirt.start-mirror': mirrored,
  'libvirt.pivot': mirrored,
  'libvirt.set-job-bandwidth': slow((move) => unlimit(move), 'moved'),
  'libvirt.abort-job': inTurn([slow((move) => move.cancel(), 'cancelled'), kept]),
  'libvirt.resume-guest': suspended,
  'libvirt.reload-guest': forgotten,
};
