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
    let shown: object | null = null;
    const beat = () => context.heartbeat(shown ?? { phase: 'working' });
    const timer = setInterval(beat, BEAT_EVERY_MS);
    try {
      return await activity(input, (details) => {
        const isFirst = shown === null;
        shown = details;
        // Who asks in the first second is told, too.
        if (isFirst) beat();
      });
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
