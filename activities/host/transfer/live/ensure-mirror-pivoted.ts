/**
 * The point of no return of a move whose VM runs: QEMU switches to the copy while the guest is
 * suspended.
 */
import type { InputOf, ResultOf } from '../../../../workflows/operation/activities.ts';
import type { transferOnHost } from '../../../../workflows/transfer/activities.ts';
import type { HostDeps } from '../../deps.ts';
import { endMirrors } from './ensure-mirrors-switched.ts';

type Input = InputOf<typeof transferOnHost, 'ensureMirrorPivoted'>;
type Outcome = ResultOf<typeof transferOnHost, 'ensureMirrorPivoted'>;

/** Of one disk, what is done of several that switch together. */
export async function ensureMirrorPivoted(deps: HostDeps, job: Input): Promise<Outcome> {
  const { settleMs = null } = job;
  const [outcome] = await endMirrors(deps, [job], { action: 'pivot', settleMs });
  return outcome as Outcome;
}
