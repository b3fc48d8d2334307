/**
 * The crash matrix of MoveImage: every effect x every point x every victim x kill or freeze. Named,
 * sampled and run as that of LiveMerge.
 */
import { afterAll, beforeAll, it } from '@jest/globals';
import { keepInLedger } from '../support/faults/crash-ledger.ts';
import { sample } from '../support/sample.ts';
import { startMoveSystem } from '../support/scenes/move-scene.ts';
import { mountOwn, type OwnMount } from '../support/host/own-mount.ts';
import { nameOf, strikes } from '../support/faults/strike-list.ts';
import { armPoint, strike } from '../support/faults/strike.ts';
import { createStruckMove, VM } from '../support/faults/struck-move.ts';
import type { System } from '../support/host/system.ts';

let mount: OwnMount;
let system: System;
let start: Awaited<ReturnType<typeof createStruckMove>>;
beforeAll(async () => {
  mount = await mountOwn('ext4', 64);
  system = await startMoveSystem({ name: 'crash-move' });
  start = await createStruckMove(system, mount.path);
});
afterAll(async () => {
  await system.close();
  await mount.close();
});

const sampled = sample('strikes on moves', strikes.move, 97);
it.each(sampled.map((planned) => [nameOf(planned), planned] as const))(
  'move: %s',
  async (_, planned) => {
    let [passed, recoveryMs]: [boolean, number | null] = [false, null];
    try {
      const run = await start(planned.effect, () => armPoint(system, planned));
      await strike(system, planned, run.operation, VM);
      const struckAt = performance.now();
      await system.revive();
      await run.operation.result();
      recoveryMs = Math.round(performance.now() - struckAt);
      await run.expectRight();
      passed = true;
    } finally {
      const { victim } = planned;
      const case_ = { matrix: 'move', name: nameOf(planned), victim, passed } as const;
      await keepInLedger({ ...case_, guestWrites: 0, recoveryMs, stallMs: null });
    }
  },
);
