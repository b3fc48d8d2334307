/** Rate, remaining time and convergence of a copy, from samples. Pure. */
import type { Progress } from '../../workflows/operation/contract.ts';

interface Sample {
  atMs: number;
  copiedBytes: number;
  totalBytes: number;
}

export interface Pace {
  copiedBytesPerSecond: number;
  remainingBytes: number;
}

/** A guest that adds work to a job as fast as the job does it. */
export interface Divergence extends Pace {
  /** What the guest has made dirty; QEMU copies whole clusters. */
  writtenBytesPerSecond: number;
}

/**
 * Seconds that are looked back: long enough to smooth QEMU's 16 MiB bursts (H7), short enough to
 * follow a change.
 */
const WINDOW_MS = 10_000;

/** Follows one copy. QEMU's `total` grows while the guest writes, so percent may go back (H6). */
export function createProgress(phase: string) {
  const samples: Sample[] = [];
  return {
    add(sample: Sample): Progress {
      samples.push(sample);
      while (samples.length > 2 && sample.atMs - (samples[0] as Sample).atMs > WINDOW_MS) {
        samples.shift();
      }
      return toProgress(phase, samples);
    },
    /** Of a full window; null without one. */
    pace(): Pace | null {
      const full = fullWindow(samples);
      if (!full) return null;
      const { first, last, rate } = full;
      return {
        copiedBytesPerSecond: rate(last.copiedBytes - first.copiedBytes),
        remainingBytes: remaining(last),
      };
    },
    /** When in a full window the guest added at least as much work as the job did. */
    divergence(): Divergence | null {
      const [full, pace] = [fullWindow(samples), this.pace()];
      if (!full || !pace) return null;
      const { first, last, rate } = full;
      const isFaster =
        last.totalBytes > first.totalBytes &&
        remaining(last) >= remaining(first) &&
        remaining(last) > 0;
      const writtenBytesPerSecond = rate(last.totalBytes - first.totalBytes);
      return isFaster ? { ...pace, writtenBytesPerSecond } : null;
    },
  };
}

const remaining = (sample: Sample) => sample.totalBytes - sample.copiedBytes;

/** Its ends, and bytes as bytes per second of it; null without one. */
function fullWindow(samples: readonly Sample[]) {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || last.atMs - first.atMs < WINDOW_MS * 0.8) return null;
  const seconds = (last.atMs - first.atMs) / 1000;
  return { first, last, rate: (bytes: number) => Math.max(0, Math.round(bytes / seconds)) };
}

function toProgress(phase: string, samples: readonly Sample[]): Progress {
  const first = samples[0] as Sample;
  const last = samples.at(-1) as Sample;
  const seconds = (last.atMs - first.atMs) / 1000;
  const perSecond = (from: number, to: number) => (seconds > 0 ? (to - from) / seconds : 0);
  const rate = Math.max(0, perSecond(first.copiedBytes, last.copiedBytes));
  const gain = rate - Math.max(0, perSecond(first.totalBytes, last.totalBytes));
  const remaining = Math.max(0, last.totalBytes - last.copiedBytes);
  return {
    phase,
    percent: last.totalBytes > 0 ? Math.floor((last.copiedBytes / last.totalBytes) * 1000) / 10 : 0,
    copiedBytes: last.copiedBytes,
    totalBytes: last.totalBytes,
    rateBytesPerSecond: Math.round(rate),
    remainingSeconds: gain > 0 ? Math.ceil(remaining / gain) : null,
    note: null,
  };
}
