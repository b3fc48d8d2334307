/**
 * The lease of a pool: the right to change what is in it. One agent at a time has it, and it is the
 * SPM of the pool. How a lease is taken and kept is another file's matter: a lock of a file today
 * (flock-lease.ts), sanlock for block pools.
 */
import { leaseLost } from '../../workflows/operation/failures.ts';

/** What a lease says of its holder. */
export interface LeaseRecord {
  /** Grows by one with every holder. */
  version: number;
  /** `spm@host:pid`. */
  holder: string;
  /** ISO 8601. */
  since: string;
}

export interface Lease {
  readonly pool: string;
  readonly record: LeaseRecord;
  /** Aborted when the lease is found to be lost. */
  readonly lost: AbortSignal;
  /**
   * Why the lease is not ours any more, null while it is. Looks in a thread: a pool that hangs must
   * not stop the agent, which serves others.
   * @throws Retry `storage-silent`
   */
  lossNow(): Promise<string | null>;
  release(): Promise<void>;
}

/** What one holder of a lease does with it. */
export interface Tenure {
  /** The innermost hook of the door: an effect that is refused was not begun. */
  hook: <T>(name: string, target: string, run: () => Promise<T>) => Promise<T>;
  /**
   * For an effect that lasts, while it lasts.
   * @throws LeaseLost; the next holder of the lease will do it again
   */
  assertHeld(attempted: string): Promise<void>;
  /** From now on no effect begins; resolves when those that have begun are over. */
  end(): Promise<void>;
}

/**
 * At the last moment before an effect the lease is still ours, and no other agent gets it before
 * the last effect is over: a worker that ends badly leaves its activities behind, in this process.
 */
export function tenureOf(lease: Lease): Tenure {
  const underWay = new Set<Promise<unknown>>();
  let isOver = false;
  const look = async () => (isOver ? null : lease.lossNow());
  const assertNot = (found: string | null, attempted: string, what: string) => {
    const loss = isOver ? 'its worker here has ended' : found;
    if (loss === null) return;
    throw leaseLost({
      attempted,
      now: `the lease of pool ${lease.pool} is lost (${loss}); ${what}`,
      next: `The agent that has the lease now does it; \`blockflow spm\` shows which`,
    });
  };
  return {
    hook: async (name, target, run) => {
      const found = await look();
      // The effect begins in the same turn: nothing ends the tenure between.
      assertNot(found, `${name} of ${target}`, 'it was not begun');
      const running = run();
      const done = running.then(
        () => void underWay.delete(done),
        () => void underWay.delete(done),
      );
      underWay.add(done);
      return running;
    },
    async assertHeld(attempted) {
      assertNot(await look(), attempted, 'it was stopped half done');
    },
    async end() {
      isOver = true;
      await Promise.all(underWay);
    },
  };
}
