/**
 * The lease of a pool: the right to change what is in it. One agent at a time has it, and it is the
 * SPM of the pool. How a lease is taken and kept is an adapter's matter: a lock of a file today,
 * sanlock for block pools.
 */
import { leaseLost } from '../../workflows/failures.ts';
import type { EffectHook } from '../effect.ts';

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
   * Why the lease is not ours any more, null while it is. Without an `await`: the effect that
   * follows begins in the same turn.
   */
  lossNow(): string | null;
  release(): Promise<void>;
}

/**
 * The innermost hook of the door: at the last moment before an effect the lease is still ours.
 * @throws LeaseLost; the effect was not begun, and the next holder of the lease will do it
 */
export function leased(lease: Lease): EffectHook {
  return (name, target, run) => {
    const loss = lost(lease, `${name} of ${target}`, 'it was not begun');
    return loss ? Promise.reject(loss) : run();
  };
}

/**
 * For an effect that lasts, while it lasts.
 * @throws LeaseLost; the next holder of the lease will do it again
 */
export function assertLeased(lease: Lease, attempted: string): void {
  const loss = lost(lease, attempted, 'it was stopped half done');
  if (loss) throw loss;
}

function lost(lease: Lease, attempted: string, what: string) {
  const loss = lease.lossNow();
  if (loss === null) return null;
  return leaseLost({
    attempted,
    now: `the lease of pool ${lease.pool} is lost (${loss}); ${what}`,
    next: `The agent that has the lease now does it; \`blockflow spm\` shows which`,
  });
}
