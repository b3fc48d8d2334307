import { Context } from '@temporalio/activity';

const BEAT_EVERY_MS = 1000;

/**
 * An activity that beats while it works, so that the death of its agent is noticed in seconds, not
 * at its end.
 */
export function beating<I, O>(activity: (input: I) => Promise<O>): (input: I) => Promise<O> {
  return async (input) => {
    const context = Context.current();
    const timer = setInterval(() => context.heartbeat({ phase: 'working' }), BEAT_EVERY_MS);
    try {
      return await activity(input);
    } finally {
      clearInterval(timer);
    }
  };
}
