import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createPauses } from '../../../activities/host/transfer/job-pauses.ts';

/**
 * Follows a job that copies at an even rate and is flushed for a while.
 * @returns when each look was taken, the last one at its end or later
 */
function looksAt({ copyMs, flushMs = 0 }: { copyMs: number; flushMs?: number }): number[] {
  let now = 0;
  const pause = createPauses(() => now);
  const looks = [0];
  while (now < copyMs + flushMs) {
    const copiedBytes = Math.min(1, now / copyMs) * 2 ** 32;
    now += pause({ copiedBytes, totalBytes: 2 ** 32, noSpace: false });
    looks.push(now);
  }
  return looks;
}

describe('the pauses between two looks at a copy', () => {
  it('end within a fiftieth of its time after it, or 10 ms, however long it lasts', () => {
    fc.assert(
      fc.property(fc.double({ min: 1, max: 200_000, noNaN: true }), (copyMs) => {
        const late = (looksAt({ copyMs }).at(-1) ?? 0) - copyMs;
        expect(late).toBeLessThanOrEqual(Math.min(500, Math.max(10, copyMs / 50)));
      }),
    );
  });

  it('cost two looks a second of a long copy, and some more at its begin and its end', () => {
    expect(looksAt({ copyMs: 100_000 }).length).toBeLessThan(260);
    expect(looksAt({ copyMs: 5000 }).length).toBeLessThan(60);
  });

  it('grow while all is copied but not flushed', () => {
    const during = looksAt({ copyMs: 4000, flushMs: 4000 }).filter((at) => at >= 4000);
    expect(during.length).toBeLessThan(80);
  });

  it('are long while there is no space', () => {
    const pause = createPauses(() => 0);
    expect(pause({ copiedBytes: 1, totalBytes: 2, noSpace: true })).toBe(500);
  });
});
