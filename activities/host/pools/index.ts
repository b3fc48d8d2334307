/** What the host agent does for its pools. */
import { poolsOnHost } from '../../../workflows/pools/activities.ts';
import { implement } from '../../door/implement.ts';
import type { HostDeps } from '../deps.ts';
import { guardOf } from './boundary.ts';
import { awaitSpace } from './await-space.ts';
import { awaitPool } from './await-pool.ts';
import { observeLeases } from './observe-leases.ts';

export const poolsActivities = (deps: HostDeps) =>
  implement(poolsOnHost, guardOf(deps), {
    awaitSpace,
    awaitPool,
    observeLeases: () => observeLeases(deps),
  });
