/**
 * Looks again and again until something is so. The waits add nothing to the history, however long
 * they last: one activity that beats until its condition holds.
 */
import { Context } from '@temporalio/activity';
import { beatWith } from './attempt.ts';

/**
 * What one look found: the end of the wait, or what to beat with until the next look, which comes
 * after the pause, or as soon as `early` resolves.
 */
export type Look<T> = { end: T } | { shown: object; pauseMs: number; early?: Promise<unknown> };

/**
 * Looks until the end is seen. A cancel, or what an `early` is rejected with, ends it, too.
 * @param show what shows the others; without it the activity beats with it itself
 */
export async function poll<T>(
  look: () => Promise<Look<T>>,
  show?: (details: object) => void,
): Promise<T> {
  const context = Context.current();
  for (;;) {
    const seen = await look();
    if ('end' in seen) return seen.end;
    if (show) show(seen.shown);
    else beatWith(seen.shown);
    await Promise.race([context.sleep(seen.pauseMs), ...(seen.early ? [seen.early] : [])]);
  }
}

const WAIT_MS = 2000;

/** Waits until the condition holds. @param condition what is waited for, null when it holds */
export function waitUntil(condition: () => Promise<string | null>): Promise<void> {
  return poll(async () => {
    const note = await condition();
    if (note === null) return { end: undefined };
    return { shown: { phase: 'waiting', note }, pauseMs: WAIT_MS };
  });
}

const DOUBT_MS = 500;

/**
 * Doubts that may settle by themselves: libvirtd may still be writing what QEMU has done. Looks
 * until nothing is doubtful, at most so many times. Counted within one attempt: those in which
 * libvirtd did not answer at all say nothing.
 * @returns the doubts of the last look
 */
export function untilSettled<T extends { doubts: string[] }>(
  looks: number,
  look: () => Promise<T>,
): Promise<T> {
  let remaining = looks;
  return poll(async () => {
    const found = await look();
    remaining -= 1;
    if (found.doubts.length === 0 || remaining <= 0) return { end: found };
    const note = found.doubts.join('; ');
    return { shown: { phase: 'looking again', note }, pauseMs: DOUBT_MS };
  });
}
