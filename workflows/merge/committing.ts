/** Steps 2 to 5 of a merge: record, commit, READY, switch; the VM runs or is down. */
import { createConvergence, type Convergence } from '../operation/steering/convergence.ts';
import type { Decision } from '../operation/steering/decision.ts';
import { startedAt } from '../operation/operation.ts';
import { forwardOnly } from '../operation/point-of-no-return.ts';
import { fileName } from '../operation/words.ts';
import type { JobInput } from './activities.ts';
import { decide, limitJob } from './decision.ts';
import { commitRefused, jobLost, switchRefused } from './ending.ts';
import type { MergeOperation } from './live-merge.ts';
import type { MergePlan } from './plan.ts';
import { commitWords } from './words.ts';

/** How an attempt to get top out of the chain ended. */
export type Attempt =
  | { end: 'switched'; stallMs: number | null; readyToPivotMs: number | null }
  | { end: 'kept' }
  | { end: 'plan again'; reason: string }
  | { end: 'vm stopped'; reason: string };

interface Ready {
  end: 'ready';
  readyAtMs: number | null;
}

export const SWITCHED: Attempt = { end: 'switched', stallMs: null, readyToPivotMs: null };
const READY_BEFORE: Ready = { end: 'ready', readyAtMs: null };

/** By the state of the VM; for what an earlier run left, only what is still to do. */
export function switchChain(
  op: MergeOperation,
  plan: MergePlan,
  decision: Decision,
): Promise<Attempt> {
  if (plan.alreadyMerged && plan.mode !== 'active') return Promise.resolve(SWITCHED);
  return plan.mode === 'cold' ? coldMerge(op, plan) : liveMerge(op, plan, decision);
}

/** Times that QEMU may refuse the pivot of one job. */
const PIVOTS = 20;

/** 2 to 5 while the VM runs. */
async function liveMerge(
  op: MergeOperation,
  plan: MergePlan,
  decision: Decision,
): Promise<Attempt> {
  const job: JobInput = { plan, jobId: op.jobId };
  const begun = plan.alreadyMerged ? READY_BEFORE : await startCommit(op, job); // 2, 3
  if (begun.end !== 'started' && begun.end !== 'ready') return begun;
  let known = begun.end === 'ready' ? begun : null;
  const refusals: string[] = [];
  const convergence = createConvergence(op, op.input);
  while (refusals.length < PIVOTS) {
    const ready = known ?? (await awaitReady(op, job, convergence)); // 4
    if (!plan.alreadyMerged) known = null;
    // Only a pivot that fails tells why its job is gone.
    if (ready.end === 'plan again') return { ...ready, reason: refusals.at(-1) ?? ready.reason };
    if (ready.end !== 'ready') return ready;
    const choice = plan.alreadyMerged ? 'pivot' : await decide(op, job, decision);
    if (choice === 'keep') return { end: 'kept' };
    if (choice === 'look again') continue;
    const pivoted = await pivot(op, job, { ...ready, settleMs: convergence.maxPauseMs }); // 5
    if (pivoted.end !== 'refused') return pivoted;
    if (!pivoted.isBehind) refusals.push(pivoted.reason);
    else {
      convergence.missed(pivoted.reason);
      op.enter('copying', { note: convergence.note() });
    }
  }
  throw jobLost(op, plan, [`${PIVOTS} times ${refusals.at(-1)}`]);
}

type Begun = Attempt | Ready | { end: 'started' };

async function startCommit(op: MergeOperation, job: JobInput): Promise<Begun> {
  op.enter('copying');
  const { plan } = job;
  const { bandwidthBytesPerSecond } = op.status;
  const started = await op.host.ensureCommitStarted(
    { ...job, ...startedAt(), bandwidthBytesPerSecond, keepRelative: op.input.keepRelative },
    commitWords(plan),
  );
  switch (started.outcome) {
    case 'started': {
      // A limit that was set while the job was being started found no job; an adopted job has an
      // earlier run's limit.
      const limited = op.status.bandwidthBytesPerSecond === bandwidthBytesPerSecond;
      if (plan.adopted || !limited) await limitJob(op);
      const { readyAtMs } = started;
      return readyAtMs === null ? { end: 'started' } : { end: 'ready', readyAtMs };
    }
    case 'vm-stopped':
      return { end: 'vm stopped', reason: started.reason };
    case 'busy':
      return { end: 'plan again', reason: started.reason };
    case 'failed':
      throw commitRefused(op, plan, started.reason);
    case 'finished':
      return SWITCHED;
  }
}

/** 4: adds nothing to the history while it waits. */
async function awaitReady(
  op: MergeOperation,
  job: JobInput,
  convergence: Convergence,
): Promise<Attempt | Ready> {
  const summary = `copy into ${fileName(job.plan.base.path)} until both hold the same`;
  for (;;) {
    const input = { ...job, until: 'ready' as const, ...convergence.asked() };
    const seen = await op.host.awaitCommitReady(input, summary);
    switch (seen.outcome) {
      case 'ready':
        return { end: 'ready', readyAtMs: seen.readyAtMs };
      case 'finished':
        return SWITCHED;
      case 'vm-stopped':
        return { end: 'vm stopped', reason: seen.reason };
      case 'gone':
        return { end: 'plan again', reason: seen.reason };
      case 'not-converging':
        op.enter('copying', { note: await convergence.outrun(seen, () => limitJob(op)) });
        break;
      case 'fits':
        return READY_BEFORE;
    }
  }
}

/** 5: `refused` when QEMU did not pivot, so that READY must be awaited again. */
async function pivot(
  op: MergeOperation,
  job: JobInput,
  { readyAtMs, settleMs }: Ready & { settleMs: number },
): Promise<Attempt | { end: 'refused'; reason: string; isBehind: boolean }> {
  op.point.pass();
  op.enter('pivoting');
  const summary = `pivot to ${fileName(job.plan.base.path)}: suspend, pivot, verify, resume`;
  const input = { ...job, settleMs };
  const done = await forwardOnly(() => op.host.ensurePivoted(input, summary));
  if (done.outcome === 'pivoted') {
    const { stallMs, pivotIssuedAtMs: issuedAtMs } = done;
    const measured = readyAtMs !== null && issuedAtMs !== null;
    const readyToPivotMs = measured ? Math.max(0, issuedAtMs - readyAtMs) : null;
    return { end: 'switched', stallMs, readyToPivotMs };
  }
  const reason = `the pivot did not happen: ${done.reason}`;
  op.point.takeBack(reason);
  if (done.outcome === 'not-pivoted') {
    return { end: 'refused', reason, isBehind: done.isBehind ?? false };
  }
  return { end: 'vm stopped', reason: done.reason };
}

/** 2 to 5 while the VM is down. */
async function coldMerge(op: MergeOperation, plan: MergePlan): Promise<Attempt> {
  const job: JobInput = { plan, jobId: op.jobId };
  op.enter('copying');
  const limit = { ...startedAt(), bandwidthBytesPerSecond: op.status.bandwidthBytesPerSecond };
  const committed = await op.host.ensureColdCommitted({ ...job, ...limit }, commitWords(plan));
  if (committed.outcome !== 'committed') return { end: 'plan again', reason: committed.reason };
  if (op.input.keepOverlay) return { end: 'kept' };
  op.point.pass();
  op.enter('pivoting');
  const { topModifiedNs } = committed;
  const switching = { ...job, topModifiedNs, keepRelative: op.input.keepRelative };
  const summary = `switch the record to ${fileName(plan.base.path)}`;
  const switched = await forwardOnly(() => op.host.ensureColdSwitched(switching, summary));
  if (switched.outcome === 'committed') return SWITCHED;
  op.point.takeBack(switched.reason);
  if (switched.outcome === 'refused') throw switchRefused(op, plan, switched.reason);
  return { end: 'plan again', reason: switched.reason };
}
