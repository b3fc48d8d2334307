/**
 * The crash matrix of MoveImage: every effect x every point x every victim x kill or freeze. Named,
 * sampled and run as that of LiveMerge.
 */
import { afterAll, beforeAll, it } from '@jest/globals';
import { dailySample } from '../support/daily-sample.ts';
import { startMoveSystem } from '../support/move-scene.ts';
import { armPoint, nameOf, strike, strikesOn } from '../support/strike.ts';
import { createStruckMove, movedEffects, VM, type StruckMove } from '../support/struck-move.ts';
import type { System } from '../support/system.ts';

const processes = ['orchestrator', 'host', 'spm', 'libvirtd', 'temporal'] as const;
const cases = strikesOn(movedEffects, processes);

let system: System;
let struck: StruckMove;
beforeAll(async () => {
  system = await startMoveSystem({ name: 'crash-move' });
  struck = await createStruckMove(system);
});
afterAll(() => system.close());

it.each(dailySample(cases, 97).map((planned) => [nameOf(planned), planned] as const))(
  'move: %s',
  async (_, planned) => {
    armPoint(system, planned);
    const move = await struck.start();
    const isOfRemoval = planned.effect === 'storage.wipe-volume';
    await strike(system, planned, isOfRemoval ? struck.removal() : move, VM);
    await system.revive();
    await struck.expectMoved(await move.result());
  },
);
