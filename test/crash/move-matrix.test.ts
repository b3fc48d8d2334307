/**
 * The crash matrix of MoveImage: every effect x every point x every victim x kill or freeze. Named,
 * sampled and run as that of LiveMerge.
 */
import { afterAll, beforeAll, it } from '@jest/globals';
import { keepInLedger } from '../support/crash-ledger.ts';
import { dailySample } from '../support/daily-sample.ts';
import { startMoveSystem } from '../support/move-scene.ts';
import { nameOf, strikes } from '../support/strike-list.ts';
import { armPoint, strike } from '../support/strike.ts';
import { createStruckMove, VM, type StruckMove } from '../support/struck-move.ts';
import type { System } from '../support/system.ts';

let system: System;
let struck: StruckMove;
beforeAll(async () => {
  system = await startMoveSystem({ name: 'crash-move' });
  struck = await createStruckMove(system);
});
afterAll(() => system.close());

it.each(dailySample(strikes.move, 97).map((planned) => [nameOf(planned), planned] as const))(
  'move: %s',
  async (_, planned) => {
    let [passed, recoveryMs]: [boolean, number | null] = [false, null];
    try {
      armPoint(system, planned);
      const move = await struck.start();
      const isOfRemoval = planned.effect === 'storage.wipe-volume';
      await strike(system, planned, isOfRemoval ? struck.removal() : move, VM);
      const struckAt = performance.now();
      await system.revive();
      const result = await move.result();
      recoveryMs = Math.round(performance.now() - struckAt);
      await struck.expectMoved(result);
      passed = true;
    } finally {
      const { victim } = planned;
      const case_ = { matrix: 'move', name: nameOf(planned), victim, passed } as const;
      await keepInLedger({ ...case_, guestWrites: 0, recoveryMs, stallMs: null });
    }
  },
);
