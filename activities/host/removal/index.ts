/** What the host agent does for a removal. */
import { removalOnHost } from '../../../workflows/removal/activities.ts';
import { implement } from '../../door/implement.ts';
import type { HostDeps } from '../deps.ts';
import { guardOf } from '../pools/boundary.ts';
import { observeRemovalPlan } from './observe-removal-plan.ts';

export const removalActivities = (deps: HostDeps) =>
  implement(removalOnHost, guardOf(deps), {
    observeRemovalPlan: (input) => observeRemovalPlan(deps, input),
  });
