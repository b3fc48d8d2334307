/** What the host agent does to take a snapshot inside of images, and to leave them sound. */
import { insideOnHost } from '../../../../workflows/snapshot/inside/activities.ts';
import { implement } from '../../../door/implement.ts';
import type { HostDeps } from '../../deps.ts';
import { guardOf } from '../../pools/boundary.ts';
import { ensureInsideListed } from './ensure-inside-listed.ts';
import { ensureInsideTaken } from './ensure-inside-taken.ts';
import { ensureLeaksRepaired } from './ensure-leaks-repaired.ts';
import { observeInsidePlan } from './observe-inside-plan.ts';

export const insideActivities = (deps: HostDeps) =>
  implement(insideOnHost, guardOf(deps), {
    observeInsidePlan: (input) => observeInsidePlan(deps, input),
    ensureInsideTaken: (input) => ensureInsideTaken(deps, input),
    ensureInsideListed: (input) => ensureInsideListed(deps, input),
    ensureLeaksRepaired: (input) => ensureLeaksRepaired(deps, input),
  });
