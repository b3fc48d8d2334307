import { expect, it } from '@jest/globals';
import { divergenceWords } from '../../../activities/host/pivot/divergence.ts';

const MIB = 2 ** 20;
const divergence = (written: number, copied: number) => ({
  writtenBytesPerSecond: written * MIB,
  copiedBytesPerSecond: copied * MIB,
  remainingBytes: 5 * MIB,
});

it('says by how much the guest is faster, and that a limit or a pause would help', () => {
  expect(divergenceWords(divergence(6, 1), MIB)).toBe(
    'not converging: the guest makes 6.0 MiB/s dirty, 5.0 MiB/s more than the job copies ' +
      '(its limit is 1.0 MiB/s), and 5.0 MiB stay to be copied; a higher limit would help ' +
      '(`blockflow bandwidth`), or --converge with a pause of about 5000 ms',
  );
});

it('names a quiet hour where no limit holds the job back', () => {
  const words = divergenceWords(divergence(2, 2), 0);
  expect(words).toContain('the guest makes 2.0 MiB/s dirty, as much as the job copies, and');
  expect(words).toContain('pause of about 2500 ms would help, or an hour in which the guest');
  expect(divergenceWords(divergence(2, 0), 0)).toContain('; --converge would help');
});
