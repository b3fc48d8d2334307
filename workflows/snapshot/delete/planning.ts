/** Step 1: what goes, and a plan for the merge of every disk, before the first one begins. */
import { workflowInfo } from '@temporalio/workflow';
import { assertUnusedElsewhere } from '../../chain/other-hosts.ts';
import type { mergeOnHost } from '../../merge/activities.ts';
import type { PlanOutcome } from '../../merge/plan.ts';
import { sharedVolumes } from '../../merge/planning.ts';
import { liveMergeInput, type LiveMergeInput } from '../../merge/request.ts';
import type { Agent } from '../../operation/activities.ts';
import { auditLog, type AwayListener } from '../../operation/agents.ts';
import type { AuditEvent } from '../../operation/audit.ts';
import { WHOLE_VM } from '../../operation/contract.ts';
import { failureDetails, refused } from '../../operation/failures.ts';
import { INSIDE_BEGUN } from '../inside/words.ts';
import { mergedDisks } from '../merged-disks.ts';
import type { snapshotDeletionOnHost } from './activities.ts';
import { deletionKind } from './kind.ts';
import type { DeletionPlan, DiskPlan, SnapshotDeletion } from './plan.ts';
import type { DeleteSnapshotInput } from './request.ts';

type OnHost = typeof snapshotDeletionOnHost & typeof mergeOnHost;

/** Who plans: the operation itself, or a question about it. */
interface Planner {
  input: DeleteSnapshotInput;
  words: string;
  host: Agent<OnHost>;
  away: AwayListener;
}

/** The merge of one disk. It goes on when the VM stops: a deletion works either way. */
export const mergeInput = (
  { vm, host, requestedBy }: DeleteSnapshotInput,
  { snapshot, disk }: { snapshot: string; disk: string },
  bandwidthBytesPerSecond = 0,
): LiveMergeInput =>
  liveMergeInput.parse({
    ...{ vm, disk, host, snapshot, requestedBy, bandwidthBytesPerSecond },
    onVmStop: 'continue',
  });

/**
 * @throws the refusal of a disk, as long as none is merged: then nothing is begun. After that a
 * refused disk is a part of the plan, since the others cannot go back.
 */
export async function planDeletion(planner: Planner): Promise<DeletionPlan> {
  const { input, host, words } = planner;
  const events = await auditLog.observeEvents({ vm: input.vm, limit: 1000 });
  const found = await host
    .observeSnapshotDeletion(input, `plan ${words}`)
    .catch((error: unknown) => evidence(planner, events, error));
  if (typeof found === 'string') return { kind: 'done', reason: found };
  if (found.snapshots.length === 0) {
    return { kind: 'done', reason: `no snapshot was taken on ${input.name}` };
  }
  const merged = mergedBefore(found, events);
  const disks: DiskPlan[] = [];
  const refusals: Extract<DeletionPlan, { kind: 'plan' }>['refused'] = [];
  for (const { name: snapshot, disks: left } of found.snapshots) {
    for (const disk of left) {
      try {
        const outcome = await planDisk(planner, { snapshot, disk });
        disks.push({ snapshot, disk, outcome });
      } catch (error) {
        const failure = failureDetails(error);
        if (merged.length === 0 || !failure) throw error;
        const { now, next } = failure.details;
        refusals.push({ snapshot, disk, why: now, next });
      }
    }
  }
  return { kind: 'plan', deletion: found, disks, refused: refusals, merged };
}

async function planDisk(
  { input, host, away }: Planner,
  part: { snapshot: string; disk: string },
): Promise<PlanOutcome> {
  const { vm } = input;
  const { snapshot, disk } = part;
  const summary = `plan the merge of ${vm}/${disk} for snapshot ${snapshot}`;
  const outcome = await host.observeMergePlan(mergeInput(input, part), summary);
  if (outcome.kind === 'busy') {
    throw refused('foreign-job', {
      attempted: `deleting snapshot ${snapshot} of ${vm}`,
      now: `${outcome.reason} on ${disk}; it was not touched, and nothing was begun`,
      next: `Wait for it (\`virsh blockjob ${vm} ${disk} --info\`), then repeat the request`,
    });
  }
  if (outcome.kind === 'plan') await assertUnusedElsewhere(away, sharedVolumes(outcome.plan));
  return outcome;
}

/** A disk that libvirt says `no` of was left out, or merged: the audit log tells which. */
function mergedBefore({ vm, snapshots }: SnapshotDeletion, events: readonly AuditEvent[]) {
  return snapshots.flatMap(({ name: snapshot, takenAt, disks }) =>
    mergedDisks(events, { vm, name: snapshot, takenAt })
      .filter((disk) => !disks.includes(disk))
      .map((disk) => ({ snapshot, disk })),
  );
}

/**
 * A snapshot that is not listed is no mistake when this very request deleted it: it has said so, or
 * was ended between the last merge, with which the record goes, and its own end.
 */
function evidence(
  { input, words }: Pick<Planner, 'input' | 'words'>,
  events: readonly AuditEvent[],
  error: unknown,
): string {
  if (failureDetails(error)?.details.code !== 'unknown-snapshot') throw error;
  const { vm, name } = input;
  const earlier = events.filter(
    ({ id, operation, disk, request }) =>
      operation === deletionKind.type &&
      disk === WHOLE_VM &&
      request === words &&
      !id.startsWith(workflowInfo().runId),
  );
  const ended = earlier.findLast(({ kind }) => kind === 'deleted');
  if (ended) return `this request deleted it at ${ended.time}`;
  const inside = earlier.findLast(({ kind }) => kind === INSIDE_BEGUN);
  if (inside) return `this request, begun at ${inside.time}, deleted it`;
  const begun = earlier.find(({ kind }) => kind === 'started');
  const merges = begun ? mergedDisks(events, { vm, name, takenAt: begun.time }) : [];
  if (!begun || merges.length === 0) throw error;
  const disks = merges.join(', ');
  return `this request, begun at ${begun.time}, merged ${disks}, and the record is gone`;
}
