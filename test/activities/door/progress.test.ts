import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createProgress } from '../../../activities/door/progress.ts';

const MiB = 2 ** 20;

/** The progress after these samples, one a second: copied and total in MiB. */
function after(samples: [number, number][]) {
  const progress = createProgress('copying');
  const told = samples.map(([copied, total], second) =>
    progress.add({ atMs: second * 1000, copiedBytes: copied * MiB, totalBytes: total * MiB }),
  );
  return { last: told.at(-1), divergence: progress.divergence() };
}

describe('the progress of a copy', () => {
  it('is a percentage, a rate, and the time that remains at this rate', () => {
    expect(
      after([
        [0, 100],
        [10, 100],
        [20, 100],
      ]).last,
    ).toEqual({
      phase: 'copying',
      percent: 20,
      copiedBytes: 20 * MiB,
      totalBytes: 100 * MiB,
      rateBytesPerSecond: 10 * MiB,
      remainingSeconds: 8,
      note: null,
    });
  });

  it('knows no remaining time before the second sample, nor while the guest writes as fast', () => {
    expect(after([[0, 100]]).last).toMatchObject({ rateBytesPerSecond: 0, remainingSeconds: null });
    expect(
      after([
        [0, 100],
        [10, 110],
      ]).last,
    ).toMatchObject({ remainingSeconds: null });
  });

  it('forgets what is older than ten seconds', () => {
    const slow = Array.from({ length: 20 }, (_, i): [number, number] => [i, 1000]);
    const fast = Array.from({ length: 12 }, (_, i): [number, number] => [20 + i * 10, 1000]);
    expect(after([...slow, ...fast]).last).toMatchObject({ rateBytesPerSecond: 10 * MiB });
  });

  it('diverges only when for a whole window the guest wrote at least as much as was copied', () => {
    const run = (seconds: number, copied: number, written: number) =>
      after(
        Array.from({ length: seconds }, (_, second): [number, number] => {
          return [second * copied, 100 + second * written];
        }),
      ).divergence !== null;
    expect(run(12, 4, 5)).toBe(true);
    expect(run(12, 4, 4)).toBe(true);
    expect(run(12, 4, 3)).toBe(false);
    expect(run(12, 0, 0)).toBe(false);
    expect(run(6, 4, 5)).toBe(false);
  });

  it('says how fast the guest and the job are', () => {
    const samples = Array.from({ length: 12 }, (_, s): [number, number] => [s * 4, 100 + s * 5]);
    expect(after(samples).divergence).toEqual({
      writtenBytesPerSecond: 5 * MiB,
      copiedBytesPerSecond: 4 * MiB,
      remainingBytes: 111 * MiB,
    });
  });

  it('never says what no number can be: a negative rate, or more than 100 percent', () => {
    const sample = fc.tuple(fc.nat(1000), fc.nat(1000)).map(([a, b]): [number, number] => {
      return [Math.min(a, b), Math.max(a, b)];
    });
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 30 }), (samples) => {
        const { last } = after(samples);
        expect(last?.rateBytesPerSecond).toBeGreaterThanOrEqual(0);
        expect(last?.percent).toBeGreaterThanOrEqual(0);
        expect(last?.percent).toBeLessThanOrEqual(100);
        expect(last?.remainingSeconds ?? 0).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
