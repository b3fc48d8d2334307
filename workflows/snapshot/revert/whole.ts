/**
 * Whether a snapshot still has all disks that it had. libvirt says `no` of one that was merged out
 * of it as of one that was left out when it was taken: the audit log tells which.
 */
import { mergeKind } from '../../merge/kind.ts';
import { auditLog } from '../../operation/agents.ts';
import type { AuditEvent } from '../../operation/audit/audit.ts';
import { refused } from '../../operation/failures.ts';
import { creationKind } from '../create/kind.ts';
import type { RevertPlan, RevertPlanOutcome } from './plan.ts';
import { shell } from '../../operation/names.ts';

/**
 * A disk that was merged out would stay as it is now, beside disks of then.
 * @throws Refused `disks-changed`
 */
export async function assertWhole(
  attempted: string,
  outcome: RevertPlanOutcome,
): Promise<RevertPlanOutcome> {
  if (outcome.kind !== 'plan' || (outcome.plan.stayed ?? []).length === 0) return outcome;
  const { vm, snapshot } = outcome.plan;
  const events = await auditLog.observeEvents({ vm, limit: 1000 });
  const gone = mergedOut(events, outcome.plan);
  if (gone.length === 0) return outcome;
  throw refused('disks-changed', {
    attempted,
    now:
      `${gone.join(', ')} of snapshot ${snapshot} was merged since and would stay as it is now, ` +
      'beside disks as they were then; nothing was done',
    next: `Delete the rest of it (${shell`blockflow snapshot delete ${vm} ${snapshot}`})`,
  });
}

/** Disks that the snapshot had, and has no more. */
function mergedOut(
  events: readonly AuditEvent[],
  { disks, stayed = [], takenAt = null }: Pick<RevertPlan, 'disks' | 'stayed' | 'takenAt'>,
): string[] {
  const bases = new Set(disks.map(({ base }) => base.path));
  const creation = events.findLast(
    ({ operation, kind, before }) =>
      operation === creationKind.type &&
      kind === 'created' &&
      before.some((path) => bases.has(path)),
  );
  const isMerged = ({ disk, layer }: Stayed) =>
    events.some(
      (event) =>
        event.disk === disk &&
        isMergeSince(event, takenAt) &&
        // The record names the layer that it was merged into, which was its own if it was left out.
        (creation ? isOn(creation.before, event) : hasTakenOff(event, layer)),
    );
  return stayed.filter(isMerged).map(({ disk }) => disk);
}

type Stayed = NonNullable<RevertPlan['stayed']>[number];

const isMergeSince = ({ operation, kind, time }: AuditEvent, since: string | null) =>
  operation === mergeKind.type && kind === 'merged' && (since === null || time >= since);

/** Whether its chain had one of these layers. */
const isOn = (layers: readonly string[], { before }: AuditEvent) =>
  before.some((path) => layers.includes(path));

/** What was on the layer is out of the chain. */
function hasTakenOff({ before, after }: AuditEvent, layer: string): boolean {
  const above = before[before.indexOf(layer) + 1];
  return before.includes(layer) && above !== undefined && !after.includes(above);
}
