/** The end of a mirror without a pivot: its file stays as a copy of that moment. */
import type { InputOf, ResultOf } from '../../../../workflows/operation/activities.ts';
import type { transferOnHost } from '../../../../workflows/transfer/activities.ts';
import type { HostDeps } from '../../deps.ts';
import { endMirrors } from './ensure-mirrors-switched.ts';

type Input = InputOf<typeof transferOnHost, 'ensureMirrorKept'>;
type Outcome = ResultOf<typeof transferOnHost, 'ensureMirrorKept'>;

/** Of one disk, what is done of several whose copies are of one moment. */
export async function ensureMirrorKept(deps: HostDeps, job: Input): Promise<Outcome> {
  const { settleMs = null } = job;
  const [outcome] = await endMirrors(deps, [job], { action: 'abort', settleMs });
  return outcome as Outcome;
}
