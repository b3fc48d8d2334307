/**
 * Properties of all effects, from the registry: done twice, done and then reported as failed,
 * failed before it started. Whatever strikes, the operation ends as it would have, once, with the
 * same data, and leaves nothing.
 */
import { describe, expect, it } from '@jest/globals';
import { armFault, isArmed } from '../../support/faults/faults.ts';
import { matrices, useStage } from '../../support/faults/stages/stages.ts';
import { effectsIn, type Matrix } from '../../support/faults/strike-list.ts';
import { sample } from '../../support/sample.ts';

/** In `npm test` a move of several disks has fewer, as the move of one has the same. */
const everyOf = (matrix: Matrix) => (matrix === 'move disks' ? 19 : 7);

function testEffects(matrix: Matrix): void {
  const stage = useStage[matrix](`effects-${matrix}`);
  const { system } = stage;
  const passings = async (effect: string) =>
    (await system.effects()).filter((line) => line.startsWith(`${effect} `)).length;

  const drawn = sample(`effects of ${matrix}s`, effectsIn(matrix), everyOf(matrix));
  describe.each(drawn)('%s', (effect) => {
    it.each(['twice', 'fail-after', 'fail-before'] as const)('%s', async (action) => {
      const before = await passings(effect);
      const run = await stage.start(effect, () => armFault(system.trace, { effect, action }));
      await run.expectEnd();
      await run.expectRight();
      expect(isArmed(system.trace)).toBe(false);
      // What was not done is done later; what was done is seen, and perhaps not done again.
      if (action === 'fail-before') expect(await passings(effect)).toBeGreaterThan(before + 1);
    });
  });
}

describe.each(matrices)('The effects of a %s:', testEffects);
