/**
 * What libvirt lists of a pool. No operation needs that list, since disks are named by their paths,
 * and libvirt makes none while a volume is being cloned there, for hours perhaps: so no failure
 * ends a step, and it is tried again until libvirt has made it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CommandError } from '../process/command.ts';
import { createTogether } from '../process/together.ts';

const SOON_MS = 500;
const AGAIN_MS = { first: 2000, most: 300_000 };

/** @param refresh asks libvirt for it */
export function createPoolLists(refresh: (pool: string) => Promise<unknown>, again = AGAIN_MS) {
  const together = createTogether(refresh);
  const late = new Map<string, AbortController>();
  let isOver = false;

  /** In the background, for all who have asked. */
  async function tryAgain(pool: string): Promise<void> {
    if (isOver || late.has(pool)) return;
    const stop = new AbortController();
    late.set(pool, stop);
    try {
      for (let waitMs = again.first; ; waitMs = Math.min(2 * waitMs, again.most)) {
        await delay(waitMs, null, { ref: false, signal: stop.signal });
        if (await together(pool).then(() => true, isWithoutList)) return;
      }
    } catch {
      // The agent ends.
    } finally {
      late.delete(pool);
    }
  }

  const list = (pool: string): Promise<void> =>
    together(pool).then(
      () => undefined,
      (error: unknown) => {
        if (!isWithoutList(error)) void tryAgain(pool);
      },
    );
  return {
    /** For volumes that are new: ends when libvirt has answered. */
    refreshPool: list,
    /**
     * For volumes that are gone: libvirt opens each file that is left, which takes a second for
     * 30,000, and a list that has them a little longer harms no operation. What ends by then is
     * waited for, so that most people see the new list at once.
     */
    refreshPoolSoon: (pool: string): Promise<void> =>
      Promise.race([list(pool), delay(SOON_MS, undefined, { ref: false })]),
    endLists: (): void => {
      isOver = true;
      for (const stop of late.values()) stop.abort();
    },
  };
}

/** Of a pool that is not active, or undefined. */
const isWithoutList = (error: unknown): boolean =>
  error instanceof CommandError && /failed to get pool|is not active/.test(error.stderr);
