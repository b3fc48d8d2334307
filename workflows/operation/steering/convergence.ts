/**
 * A guest that outruns its job: no suspension lasts longer than its pause. With `--converge` the
 * operation raises its own limit first; and once what is left fits into the pause, the guest is
 * suspended until the job is READY and has switched. Without, or at READY, that is done where the
 * first suspension was in vain.
 */
import { limitWords } from '../words.ts';
import type { AnyOperation } from '../operation.ts';
import { convergenceOptions, type Wanted } from './convergence-input.ts';

interface Limited extends Wanted {
  bandwidthBytesPerSecond: number;
}

export interface Convergence {
  /** What the next wait for READY is asked. */
  asked(): { tellConvergence: boolean; fitsMs?: number; isBehind?: true };
  /**
   * The guest outruns the job. @param limit gives the job the limit of the operation
   * @returns the note
   */
  outrun(
    seen: { note: string; writtenBytesPerSecond?: number | undefined },
    limit: () => Promise<unknown>,
  ): Promise<string>;
  /** The job had not written all in time: the guest runs on, and what is left has to be less. */
  missed(reason: string): void;
  /** Why the last suspension was in vain; null without one. */
  note(): string | null;
  /** Longest suspension of the guest. */
  maxPauseMs: number;
}

/** A limit of so many times what the guest writes is none that holds the job. */
const ENOUGH = 1.5;
/** Of what is left only as much is tried as takes half of the pause; the pivot needs some, too. */
const LEAST_PART = 2;
/** How often a suspension in vain halves that. */
const HALVINGS = 3;
/** Suspensions in vain after which the guest is left alone: it would stand still for nothing. */
const SUSPENSIONS = 10;

const IN_VAIN =
  `${SUSPENSIONS} suspensions were in vain, so the guest is not suspended any more for what is ` +
  'left: give the job more bandwidth, or wait until the guest writes less';

export function createConvergence(op: AnyOperation, wanted: Limited): Convergence {
  const { converge, maxPauseMs } = wanted;
  let own = wanted.bandwidthBytesPerSecond;
  let isTold = false;
  // The limit holds the job no more when the guest outruns it with more than it writes.
  let isLimited = true;
  let missed: string[] = [];
  // One that a user has set meanwhile stays.
  const mayRaise = () =>
    converge && isLimited && own > 0 && op.status.bandwidthBytesPerSecond === own;
  const isBehind = () => missed.length > 0;
  const mayPause = () => (converge || isBehind()) && missed.length < SUSPENSIONS;
  const fitsMs = () =>
    Math.floor(maxPauseMs / (LEAST_PART * 2 ** Math.min(missed.length, HALVINGS)));
  return {
    maxPauseMs,
    asked: () => ({
      tellConvergence: !isTold || mayRaise(),
      // Not under a limit that can be raised: QEMU keeps to it in steps of seconds.
      ...(mayPause() && !mayRaise() ? { fitsMs: fitsMs() } : {}),
      ...(isBehind() ? { isBehind: true } : {}),
    }),
    async outrun({ note, writtenBytesPerSecond = 0 }, limit) {
      isTold = true;
      isLimited = own < ENOUGH * writtenBytesPerSecond;
      if (!mayRaise()) return note;
      own = 2 * Math.max(own, writtenBytesPerSecond);
      op.tell({ bandwidthBytesPerSecond: own });
      await limit();
      return `${note}; the limit was raised to ${limitWords(own)} (--converge)`;
    },
    missed: (reason) => void (missed = [...missed, reason]),
    note: () =>
      missed.length < SUSPENSIONS ? (missed.at(-1) ?? null) : `${missed.at(-1)}; ${IN_VAIN}`,
  };
}

/** Says that a suspension took longer than was asked for. */
export const overlong = (wanted: Wanted, stallMs: number | null): string[] =>
  convergenceOptions(wanted).length > 0 && stallMs !== null && stallMs > wanted.maxPauseMs
    ? [
        `the guest was suspended for ${stallMs} ms, ` +
          `longer than --max-pause (${wanted.maxPauseMs} ms)`,
      ]
    : [];
