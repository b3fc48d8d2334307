/** Waiting for a condition, never for a time. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Default 60,000 ms. */
  readonly timeoutMs?: number;
  /** Pause between two looks, default 20 ms. */
  readonly intervalMs?: number;
}

/**
 * Looks until `look` gives something other than undefined or false, and returns that.
 * Throws "timed out after ... ms waiting for <what>" otherwise; what `look` throws passes.
 */
export async function waitUntil<T>(
  what: string | (() => string | Promise<string>),
  look: () => T | undefined | false | Promise<T | undefined | false>,
  { timeoutMs = 60_000, intervalMs = 20 }: WaitOptions = {},
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (Date.now() >= deadline) {
      const description = typeof what === 'string' ? what : await what();
      throw new Error(`timed out after ${timeoutMs} ms waiting for ${description}`);
    }
    await sleep(intervalMs);
  }
}
