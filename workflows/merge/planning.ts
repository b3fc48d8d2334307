/**
 * Step 1 of a merge: a plan, or the finding that there is nothing to do; waits for a busy disk and
 * for space.
 */
import { assertUnusedElsewhere } from '../chain/other-hosts.ts';
import { auditLog } from '../operation/agents.ts';
import type { AuditEvent } from '../operation/audit/audit.ts';
import { failureDetails, refused } from '../operation/failures.ts';
import { untilSpace } from '../pools/waiting.ts';
import type { MergeOperation } from './live-merge.ts';
import type { MergePlan, PlanOutcome } from './plan.ts';
import { shell } from '../operation/names.ts';

export type Planned =
  | { kind: 'plan'; plan: MergePlan; waited: boolean }
  | { kind: 'done'; chain: string[]; reason: string };

export async function planMerge(op: MergeOperation): Promise<Planned> {
  const { vm, disk, host, ifBusy } = op.input;
  let waited = false;
  for (;;) {
    const outcome = await planOrEvidence(op);
    switch (outcome.kind) {
      case 'plan':
        await assertUnusedElsewhere(op, sharedVolumes(outcome.plan));
        return { kind: 'plan', plan: adopt(op, outcome.plan), waited };
      case 'done':
        return { ...outcome, chain: outcome.chain.map((volume) => volume.path) };
      case 'busy':
        if (ifBusy === 'refuse') throw foreignJob(op, outcome.reason);
        op.enter('waiting for the disk', { note: outcome.reason });
        await op.host.awaitDiskIdle({ vm, disk, host }, 'wait for the other job to end');
        break;
      case 'no-space':
        await untilSpace(op, outcome, 'the VM runs on untouched');
    }
    waited = true;
    op.enter('planning', { note: null });
  }
}

/**
 * What other hosts are asked about: the volumes from base on, which refer to each other, and those
 * that an earlier run has merged.
 */
export function sharedVolumes(plan: MergePlan) {
  const { vm, disk, base, chainBefore, committed, sharedWith: hosts } = plan;
  const chain = chainBefore.slice(chainBefore.findIndex(({ path }) => path === base.path));
  const merged = committed.filter(({ path }) => !chain.some((layer) => layer.path === path));
  const volumes = [...chain, ...merged];
  return { attempted: `planning a merge of ${vm}/${disk}`, hosts, volumes };
}

/**
 * A volume that is not in the chain is no mistake when the audit log shows that this very request
 * merged it.
 */
async function planOrEvidence(op: MergeOperation): Promise<PlanOutcome> {
  const { input } = op;
  try {
    return await op.host.observeMergePlan(input, `plan the merge of ${op.id}`);
  } catch (error) {
    const code = failureDetails(error)?.details.code;
    const named = input.snapshot ?? input.top;
    const gone = code === 'volume-not-in-chain' || code === 'unknown-snapshot';
    // An index names another volume after each merge, so it proves nothing.
    if (!gone || named === undefined || named.includes('[')) throw error;
    const events = await auditLog.observeEvents({ vm: input.vm, disk: input.disk, limit: 1000 });
    const merged = events.findLast((e) => e.kind === 'merged' && e.request === op.words);
    if (!merged) throw mergedBefore(op, events) ?? error;
    return { kind: 'done', chain: [], reason: `this request merged it at ${merged.time}` };
  }
}

/** Another request may have merged what this one names; it may have wanted something else of it. */
function mergedBefore(op: MergeOperation, events: readonly AuditEvent[]) {
  const { vm, disk, top } = op.input;
  if (top === undefined) return null;
  const isIn = (chain: readonly string[]) =>
    chain.some((path) => path === top || path.endsWith(`/${top}`));
  const by = events.findLast((e) => e.kind === 'merged' && isIn(e.before) && !isIn(e.after));
  if (!by) return null;
  return refused('volume-not-in-chain', {
    attempted: `finding volume ${top} in the chain of ${op.id}`,
    now: `\`blockflow ${by.request}\` merged it at ${by.time}`,
    next: `Nothing is left of it to merge; see ${shell`blockflow chain ${vm} ${disk}`}`,
  });
}

/** The job of an earlier run keeps its id, so that its record stays true. */
function adopt(op: MergeOperation, plan: MergePlan): MergePlan {
  if (plan.adopted) op.jobId = plan.adopted.jobId;
  const gone = new Set(plan.committed.map((volume) => volume.path));
  const chainBefore = plan.chainBefore.map((volume) => volume.path);
  op.enter(op.status.phase, {
    mode: plan.mode,
    jobId: op.jobId,
    chainBefore,
    chainTarget: chainBefore.filter((path) => op.input.keepOverlay || !gone.has(path)),
    committedBytes: plan.committed.reduce((sum, volume) => sum + volume.allocatedBytes, 0),
    ...(plan.adopted ? { note: 'adopted what an earlier run of blockflow left' } : {}),
  });
  return plan;
}

function foreignJob(op: MergeOperation, reason: string) {
  const { vm, disk } = op.input;
  return refused('foreign-job', {
    attempted: `merging ${op.id}`,
    now: `${reason}; it was not touched`,
    next: `Wait with --if-busy wait, or look at ${shell`virsh blockjob ${vm} ${disk} --info`}`,
  });
}
