/** Step 1: what goes, and a plan for the merge of every disk, before the first one begins. */
import { workflowInfo } from '@temporalio/workflow';
import { assertUnusedElsewhere } from '../../chain/other-hosts.ts';
import type { mergeOnHost } from '../../merge/activities.ts';
import type { PlanOutcome } from '../../merge/plan.ts';
import { sharedVolumes } from '../../merge/planning.ts';
import { liveMergeInput, type LiveMergeInput } from '../../merge/request.ts';
import type { Agent } from '../../operation/activities.ts';
import { auditLog, type AgentListener } from '../../operation/agents.ts';
import type { AuditEvent } from '../../operation/audit/audit.ts';
import { WHOLE_VM } from '../../operation/contract.ts';
import { failureDetails, refused } from '../../operation/failures.ts';
import { unlessOurs } from '../../operation/parts.ts';
import { INSIDE_BEGUN } from '../inside/words.ts';
import type { snapshotListOnHost } from '../list/activities.ts';
import { mergedDisks, openMerges, type DiskMerge } from '../merged-disks.ts';
import type { snapshotDeletionOnHost } from './activities.ts';
import { deletionKind } from './kind.ts';
import type { DeletionPlan, DiskPlan, SnapshotDeletion } from './plan.ts';
import type { DeleteSnapshotInput } from './request.ts';
import { shell } from '../../operation/names.ts';

type OnHost = typeof snapshotDeletionOnHost & typeof snapshotListOnHost & typeof mergeOnHost;

/** Who plans: the operation itself, or a question about it. */
interface Planner extends AgentListener {
  input: DeleteSnapshotInput;
  words: string;
  host: Agent<OnHost>;
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
  const [events, listed] = await Promise.all([
    auditLog.observeEvents({ vm: input.vm, limit: 1000 }),
    host.observeSnapshotDeletion(input, `plan ${words}`).catch((error: unknown) => unlisted(error)),
  ]);
  const half = await planHalfMerged(planner, events, listed);
  const found = withHalfMerged(planner, listed, half);
  if (found instanceof Error) {
    const reason = evidence(planner, events, found);
    await assertNothingLeft(planner, reason);
    return { kind: 'done', reason };
  }
  if (found.snapshots.length === 0) {
    return { kind: 'done', reason: `no snapshot was taken on ${input.name}` };
  }
  const merged = mergedBefore(found, events);
  const disks = [...half];
  const refusals: Refused[] = [];
  for (const { name: snapshot, disks: left } of found.snapshots) {
    const isPlanned = (disk: string) =>
      half.some((one) => one.disk === disk && one.snapshot === snapshot);
    const parts = left.filter((disk) => !isPlanned(disk)).map((disk) => ({ snapshot, disk }));
    const planned = await Promise.allSettled(parts.map((part) => planDisk(planner, part)));
    for (const [at, part] of parts.entries()) {
      const end = planned[at];
      if (end?.status === 'fulfilled') disks.push({ ...part, outcome: end.value });
      if (end?.status === 'rejected') refusals.push(partly(part, end.reason, merged.length > 0));
    }
  }
  return { kind: 'plan', deletion: found, disks, refused: refusals, merged };
}

type Refused = Extract<DeletionPlan, { kind: 'plan' }>['refused'][number];

/** @throws the failure itself, while no disk is merged and for what is no refusal */
function partly(part: Pick<Refused, 'snapshot' | 'disk'>, error: unknown, isBegun: boolean) {
  const failure = failureDetails(error);
  if (!isBegun || !failure) throw error;
  const { now, next } = failure.details;
  return { ...part, why: now, next };
}

/** Merges of this request that libvirt's list does not know of, and that have something left. */
async function planHalfMerged(
  planner: Planner,
  events: readonly AuditEvent[],
  listed: SnapshotDeletion | Error,
): Promise<DiskPlan[]> {
  const begun = earlierRuns(planner, events).find(({ kind }) => kind === 'started');
  if (!begun) return [];
  const isListed = ({ snapshot, disk }: DiskMerge) =>
    !(listed instanceof Error) &&
    listed.snapshots.some(({ name, disks }) => name === snapshot && disks.includes(disk));
  const half: DiskPlan[] = [];
  for (const part of openMerges(events, planner.input.vm, begun.time)) {
    if (isListed(part)) continue;
    try {
      const outcome = await planDisk(planner, part);
      if (outcome.kind === 'plan') half.push({ ...part, outcome });
    } catch (error) {
      // Nothing of it is left.
      if (failureDetails(error)?.details.code !== 'unknown-snapshot') throw error;
    }
  }
  return half;
}

/** What libvirt lists, and what is left of snapshots that it lists no more: that goes first. */
function withHalfMerged(
  { input }: Planner,
  listed: SnapshotDeletion | Error,
  half: readonly DiskPlan[],
): SnapshotDeletion | Error {
  const [first] = half.flatMap(({ outcome }) => (outcome.kind === 'plan' ? [outcome.plan] : []));
  if (!first) return listed;
  const { vm, host } = input;
  const found =
    listed instanceof Error ? { vm, host, vmUuid: first.vmUuid, snapshots: [] } : listed;
  const snapshots = [...found.snapshots];
  for (const { snapshot, disk } of half) {
    const at = snapshots.findIndex(({ name }) => name === snapshot);
    const known = snapshots[at] ?? { name: snapshot, takenAt: null, disks: [], memory: null };
    const whole = { ...known, disks: [...known.disks, disk] };
    if (at < 0) snapshots.unshift(whole);
    else snapshots[at] = whole;
  }
  return { ...found, snapshots };
}

async function planDisk(
  planner: Planner,
  part: { snapshot: string; disk: string },
): Promise<PlanOutcome> {
  const { input, host } = planner;
  const { vm } = input;
  const { snapshot, disk } = part;
  const summary = `plan the merge of ${vm}/${disk} for snapshot ${snapshot}`;
  const outcome = await host.observeMergePlan(mergeInput(input, part), summary);
  if (outcome.kind === 'busy') {
    const attempted = `deleting snapshot ${snapshot} of ${vm}`;
    const foreign = refused('foreign-job', {
      attempted,
      now: `${outcome.reason} on ${disk}; it was not touched, and nothing was begun`,
      next: `Wait for it (${shell`virsh blockjob ${vm} ${disk} --info`}), then repeat the request`,
    });
    return unlessOurs({ vm, disk, attempted })(foreign);
  }
  if (outcome.kind === 'plan') await assertUnusedElsewhere(planner, sharedVolumes(outcome.plan));
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

/** The refusal of a name that libvirt does not list. @throws every other failure */
function unlisted(error: unknown): Error {
  const isIt = failureDetails(error)?.details.code === 'unknown-snapshot';
  if (isIt && error instanceof Error) return error;
  throw error;
}

/**
 * A snapshot that is not listed is no mistake when this very request deleted it: it has said so, or
 * was ended between the last merge, with which the record goes, and its own end.
 */
function evidence(
  { input, words }: Pick<Planner, 'input' | 'words'>,
  events: readonly AuditEvent[],
  error: Error,
): string {
  const { vm, name } = input;
  const earlier = earlierRuns({ words }, events);
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

/**
 * The name may have had another life since: another snapshot, whose record alone is gone.
 * @throws Refused `unknown-snapshot`
 */
async function assertNothingLeft({ input, words, host }: Planner, reason: string): Promise<void> {
  const { vm, name, only } = input;
  if (only) return;
  const question = { vm, host: input.host };
  const tree = await host.observeSnapshotTree(question, `look for layers of ${name} in ${vm}`);
  const left = tree.unnamedLayers.filter(({ path }) => path.endsWith(`.${name}`));
  const [layer] = left;
  if (!layer) return;
  const { disk, path } = layer;
  throw refused('unknown-snapshot', {
    attempted: words,
    now:
      `${reason}, but ${left.map((one) => `${one.path} on ${one.disk}`).join(', ')} ` +
      'has its name, and libvirt no record of it: it is of a later snapshot; nothing was done',
    next:
      `If that is not needed, merge it into the layer below it (BELOW in ` +
      `${shell`blockflow chain ${vm} ${disk}`}): ` +
      `${shell`blockflow merge ${vm} ${disk} --top ${path} --base BELOW`}`,
  });
}

/** What the audit log has of earlier runs of this request. */
const earlierRuns = ({ words }: Pick<Planner, 'words'>, events: readonly AuditEvent[]) =>
  events.filter(
    ({ id, operation, disk, request }) =>
      operation === deletionKind.type &&
      disk === WHOLE_VM &&
      request === words &&
      !id.startsWith(workflowInfo().runId),
  );
