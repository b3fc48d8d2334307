import { BlockflowError } from './failure.ts';
import type { FollowOptions } from './operation.ts';
import type { OperationView } from './operation-view.ts';
import { timeWords } from './times.ts';

const EVERY_MS = 500;

/**
 * Yields a view at once and then at intervals, and a last one when the operation has ended.
 * @param untilEnd settles with the operation; how it ended is not looked at here. Aborted when
 * the caller no longer follows: a call that is left behind outlives its connection and throws.
 */
export async function* followOperation(
  look: () => Promise<OperationView>,
  untilEnd: (signal: AbortSignal) => Promise<unknown>,
  address: string,
  { everyMs = EVERY_MS, signal }: FollowOptions,
): AsyncGenerator<OperationView> {
  let ended = false;
  const mark = () => void (ended = true);
  const leaving = new AbortController();
  const over = untilEnd(leaving.signal).then(mark, mark);
  let last: OperationView | null = null;
  let awaySince: string | null = null;
  try {
    while (!signal?.aborted) {
      const wasEnded = ended;
      try {
        last = await look();
        awaySince = null;
        yield last;
      } catch (error) {
        if (!isServerAway(error)) throw error;
        awaySince ??= timeWords(new Date().toISOString());
        const trouble = `the Temporal server at ${address} does not answer (since ${awaySince})`;
        if (last) yield { ...last, troubles: [trouble] };
      }
      if (wasEnded || (last && last.state !== 'running')) return;
      await Promise.race([over, pause(everyMs, signal)]);
    }
  } finally {
    leaving.abort();
  }
}

const isServerAway = (error: unknown) =>
  error instanceof BlockflowError && error.details.code === 'temporal-away';

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}
