/** The plan of a move is in its history once for each step. */
import { expect, it } from '@jest/globals';
import { assertFitsHistory } from '../../../activities/host/transfer/planning/guards.ts';

/** 200 layers with names of 400 characters. */
function check(letter: string): void {
  const volumes = Array.from({ length: 200 }, () => ({ path: `/${letter.repeat(400)}` }));
  const ref = { kind: 'disk', vm: 'web1', disk: 'vda' };
  const request = { operation: 'MoveImage', image: ref, to: 'other' };
  assertFitsHistory(request as never, { ref } as never, { verify: 'full', volumes } as never);
}

it('is counted in bytes, of which a letter may have several', () => {
  expect(() => check('a')).not.toThrow();
  expect(() => check('ж')).toThrow('200 layers');
});
