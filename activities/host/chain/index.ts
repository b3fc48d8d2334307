/** What the host agent does with the chain of a disk. */
import { chainOnHost } from '../../../workflows/chain/activities.ts';
import { implement } from '../../door/implement.ts';
import type { HostDeps } from '../deps.ts';
import { guardOf } from '../pools/boundary.ts';
import { observeChain, toObservation } from './observe-chain.ts';
import { observeUses } from '../uses/observe-uses.ts';
import { awaitDiskIdle } from './await-disk-idle.ts';

export const chainActivities = (deps: HostDeps) =>
  implement(chainOnHost, guardOf(deps), {
    observeChain: async (ref) => toObservation(deps, await observeChain(deps, ref)),
    observeUses: (input) => observeUses(deps, input),
    awaitDiskIdle: (input) => awaitDiskIdle(deps, input),
  });
