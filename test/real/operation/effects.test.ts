/**
 * Properties of all effects, from the registry: done twice, done and then reported as failed,
 * failed before it started. Whatever strikes, the operation ends as it would have, once, with the
 * same data, and leaves nothing.
 */
import { describe, expect, it } from '@jest/globals';
import { effectsOf, type Operation } from '../../../activities/door/effect.ts';
import { armFault, isArmed } from '../../support/faults/faults.ts';
import { operations, useStage } from '../../support/faults/stages/stages.ts';
import { sample } from '../../support/sample.ts';

function testEffects(operation: Operation): void {
  const stage = useStage[operation](`effects-${operation}`);
  const { system } = stage;
  const passings = async (effect: string) =>
    (await system.effects()).filter((line) => line.startsWith(`${effect} `)).length;

  describe.each(sample(`effects of ${operation}s`, effectsOf(operation), 5))('%s', (effect) => {
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

describe.each(operations)('The effects of a %s:', testEffects);
