/** A layer whose file is not there, when an operation is planned. */
import { dirname } from 'node:path';
import { refused, retry } from '../../../workflows/operation/failures.ts';
import { missingPool } from '../../pool-folder/known-pools.ts';
import type { HostDeps } from '../deps.ts';
import { LayerMissing } from './header-chain.ts';

/**
 * For a file whose pool is not mounted one waits; any other one comes back by a person only.
 * @throws Retry `pool-away`; Refused `broken-chain`; what else was caught, as it is
 */
export const refuseMissingLayer =
  (deps: HostDeps, attempted: string) =>
  async (error: unknown): Promise<never> => {
    if (!(error instanceof LayerMissing)) throw error;
    const { message: now, path } = error;
    const missing = await missingPool(deps.stateDir, dirname(path));
    if (missing) throw retry('pool-away', { attempted, now: missing.now, next: missing.next });
    throw refused('broken-chain', {
      attempted,
      now: `${now}; nothing was touched`,
      next: 'Mount its file system or bring the file back, then repeat the request',
    });
  };
