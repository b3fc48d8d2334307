/** How long a job of the copying daemon is left alone between two looks at it. */
import type { CopyJob } from '../../adapters/copying-daemon/daemon.ts';

const SHORTEST_MS = 2;
const LONGEST_MS = 500;
/** Of the time that has passed: at most this is lost when the rate had promised a longer rest. */
const MOST = 1 / 4;
/** A job that has done all but its flush is not asked in every moment of that. */
const LEAST = 1 / 100;

type Job = Pick<CopyJob, 'copiedBytes' | 'totalBytes' | 'noSpace'>;

/**
 * Half of what the rest would take at the rate so far, so that the end is seen when it comes:
 * pauses that only double miss READY, and then the end, by half a pause each.
 */
export function createPauses(now = () => performance.now()): (job: Job) => number {
  const begin = now();
  let first: Job | null = null;
  return (job) => {
    first ??= job;
    if (job.noSpace) return LONGEST_MS;
    const passedMs = now() - begin;
    const copied = job.copiedBytes - first.copiedBytes;
    const leftMs = copied > 0 ? ((job.totalBytes - job.copiedBytes) / copied) * passedMs : Infinity;
    const wanted = Math.min(passedMs * MOST, leftMs / 2 + passedMs * LEAST);
    return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, wanted));
  };
}
