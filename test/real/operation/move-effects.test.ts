/** Every effect of a move, struck by every fault: the move still ends, once, with the same data. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { effectsOf } from '../../../activities/door/effect.ts';
import { sample } from '../../support/sample.ts';
import { armFault, isArmed } from '../../support/faults/faults.ts';
import { startMoveSystem } from '../../support/scenes/move-scene.ts';
import { mountOwn, type OwnMount } from '../../support/host/own-mount.ts';
import { createStruckMove } from '../../support/faults/struck-move.ts';
import type { System } from '../../support/host/system.ts';

let mount: OwnMount;
let system: System;
let start: Awaited<ReturnType<typeof createStruckMove>>;
beforeAll(async () => {
  mount = await mountOwn('ext4', 64);
  system = await startMoveSystem({ name: 'struck' });
  start = await createStruckMove(system, mount.path);
});
afterAll(async () => {
  await system.close();
  await mount.close();
});

describe.each(sample('effects of moves', effectsOf('move'), 5))('%s', (effect) => {
  it.each(['twice', 'fail-before', 'fail-after'] as const)('%s', async (action) => {
    const { expectRight } = await start(effect, () => armFault(system.trace, { effect, action }));
    await expectRight();
    expect(isArmed(system.trace)).toBe(false);
  });
});
