import { Context } from '@temporalio/activity';
import { createProgress } from './progress.ts';

const BEAT_EVERY_MS = 1000;

/** What an activity beats with from now on. */
export type Show = (details: object) => void;

/**
 * An activity that beats while it works, so that the death of its agent is noticed in seconds, not
 * at its end.
 */
export function beating<I, O>(
  activity: (input: I, show: Show) => Promise<O>,
): (input: I) => Promise<O> {
  return async (input) => {
    const context = Context.current();
    let details: object = { phase: 'working' };
    const timer = setInterval(() => context.heartbeat(details), BEAT_EVERY_MS);
    try {
      return await activity(input, (shown) => (details = shown));
    } finally {
      clearInterval(timer);
    }
  };
}

/** Shows percentage, rate and estimate of something that tells how many of its bytes are done. */
export function showProgress(
  show: Show,
  { phase, totalBytes }: { phase: string; totalBytes: number },
): (doneBytes: number) => void {
  const progress = createProgress(phase);
  return (copiedBytes) => show(progress.add({ atMs: Date.now(), copiedBytes, totalBytes }));
}
