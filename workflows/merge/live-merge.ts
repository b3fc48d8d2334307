/**
 * LiveMerge: commits the volumes above base, up to top, into base, takes them out of the chain, and
 * deletes them; while the VM runs or while it is down.
 *
 *   planning ─ copying ─ [waiting for a decision] ─ pivoting ─ proving ─ deleting ─ finished
 *      │          └── VM stops: failed, or planned again as cold (--on-vm-stop)
 *      └─ waiting for the disk · waiting for space
 *
 * Steps, and what is durable when each is done:
 *  1. plan     nothing outside; the plan is in the history. Refuses early.
 *  2. record   job id, top, base and the files to delete, in the domain's metadata: anybody sees
 *              whose job it is. In the activity of 3, before its effect.
 *  3. commit   QEMU's job runs (it survives every process of ours); cold: qemu-img runs.
 *  4. ready    base has what top has, and follows it (active), or the job ended by itself (inner),
 *              or qemu-img did (cold).
 *  5. switch   POINT OF NO RETURN. Active: guest suspended, pivot, persistent XML on disk, guest
 *              resumed. Inner: it is past when the chain shows it. Cold: the persistent XML, or the
 *              overlay's header, names base.
 *  6. prove    nothing; four views of the chain agree and nobody has the committed volumes open
 *              (I3).
 *  7. follow   libvirt's snapshot metadata names no file that goes.
 *  8. delete   the committed volumes are gone, by the SPM agent of their pool.
 *  9. forget   the record is gone. Then the report.
 *
 * Cancel: before 5 the job is ended and the chain is what it was; after it, it is refused and the
 * merge completed. Terminate: the next request finds the record and the job, and goes on from
 * there. Invariants: I1 (5), I3 (6, 8), I6 (every step observes first), I8, I9, I10, I12 (5), I17
 * (6).
 */
import { CancellationScope, uuid4 } from '@temporalio/workflow';
import type { JobInput } from '../operation/contract.ts';
import { acceptMessages, decide, limitJob, type Decision } from './decision.ts';
import { commitWords, fileName } from '../operation/page.ts';
import {
  alreadyDone,
  commitRefused,
  finishKept,
  finishMerge,
  jobLost,
  giveUp,
  recordFailure,
  vmStopped,
} from './ending.ts';
import { ownFailure } from '../operation/failures.ts';
import { planMerge } from './planning.ts';
import { openMerge, type MergeOperation } from './merge-operation.ts';
import {
  everyUpdateAnswered,
  goForwardOnly,
  passPointOfNoReturn,
  returnBeforePoint,
  showInList,
} from '../operation/operation.ts';
import { mergeRequest } from '../operation/request-check.ts';
import type { LiveMergeInput, LiveMergeResult, MergePlan } from '../chain/schemas.ts';

/** How an attempt to get top out of the chain ended. */
type Attempt =
  | { end: 'switched'; stallMs: number | null; readyToPivotMs: number | null }
  | { end: 'kept' }
  | { end: 'plan again'; note: string }
  | { end: 'vm stopped'; reason: string };

export async function LiveMerge(request: LiveMergeInput): Promise<LiveMergeResult> {
  const op = openMerge(mergeRequest(request), uuid4());
  try {
    await op.record('started', op.words);
    const result = await merge(op);
    await op.refusal;
    return result;
  } catch (error) {
    await CancellationScope.nonCancellable(() => recordFailure(op, error));
    // The Web UI shows the first message of a chain: the reason, not "Activity task failed".
    throw ownFailure(error) ?? error;
  } finally {
    await everyUpdateAnswered();
  }
}

async function merge(op: MergeOperation): Promise<LiveMergeResult> {
  const decision = acceptMessages(op);
  let earlier: MergePlan | null = null;
  const lostBy = new Set<string>();
  for (let lost = 0; ;) {
    const planned = await planMerge(op).catch((e: unknown) => giveUp(op, earlier, e)); // 1
    if (planned.kind === 'done') return alreadyDone(op, planned);
    const { plan, waited } = planned;
    earlier = plan;
    const attempt = await untilPointOfNoReturn(op, plan, () => switchChain(op, plan, decision));
    switch (attempt.end) {
      case 'switched':
        goForwardOnly(op);
        return forwardOnly(() => finishMerge(op, plan, attempt)); // 6-9
      case 'kept':
        return forwardOnly(() => finishKept(op, plan));
      case 'vm stopped':
        if (op.input.onVmStop === 'fail') {
          throw await forwardOnly(() => vmStopped(op, plan, attempt.reason));
        }
        op.enter('planning', { note: `the VM stopped (${attempt.reason}); going on cold` });
        break;
      case 'plan again':
        lost = waited ? 1 : lost + 1;
        lostBy.add(attempt.note);
        if (lost > ATTEMPTS) return giveUp(op, plan, jobLost(op, plan, lostBy));
        op.enter('planning', { note: attempt.note });
    }
  }
}

/** Times that a job may be lost for a reason that nobody tells, before the operation gives up. */
const ATTEMPTS = 3;

/** 2 to 5, by the state of the VM; for what an earlier run left, only what is still to do. */
function switchChain(op: MergeOperation, plan: MergePlan, decision: Decision): Promise<Attempt> {
  if (plan.mode === 'cold') return plan.alreadyMerged ? switchedBefore() : coldMerge(op, plan);
  return plan.alreadyMerged && plan.mode === 'inner'
    ? switchedBefore()
    : liveMerge(op, plan, decision);
}

const switchedBefore = () => Promise.resolve<Attempt>(SWITCHED);
const SWITCHED = { end: 'switched', stallMs: null, readyToPivotMs: null } as const;

/** 2 to 5 while the VM runs. */
async function liveMerge(
  op: MergeOperation,
  plan: MergePlan,
  decision: Decision,
): Promise<Attempt> {
  const job: JobInput = { plan, jobId: op.jobId };
  const begun = plan.alreadyMerged ? READY_BEFORE : await startCommit(op, job); // 2, 3
  if (begun.end !== 'started' && begun.end !== 'ready') return begun;
  for (let refusals = 0; refusals < 20; refusals++) {
    const isKnown = begun.end === 'ready' && (refusals === 0 || plan.alreadyMerged);
    const ready = isKnown ? begun : await awaitReady(op, job); // 4
    // Only a pivot that fails tells why its job is gone.
    const why = refusals > 0 ? op.status.note : null;
    if (ready.end === 'plan again' && why) return { ...ready, note: why };
    if (ready.end !== 'ready') return ready;
    const choice = plan.alreadyMerged ? 'pivot' : await decide(op, job, decision);
    if (choice === 'keep') return { end: 'kept' };
    if (choice === 'look again') continue;
    const pivoted = await pivot(op, job, ready.readyAtMs); // 5
    if (pivoted) return pivoted;
  }
  throw jobLost(op, plan, [`20 times ${op.status.note}`]);
}

const READY_BEFORE: Ready = { end: 'ready', readyAtMs: null };

type Begun = Attempt | Ready | { end: 'started' };

async function startCommit(op: MergeOperation, job: JobInput): Promise<Begun> {
  op.enter('copying');
  showInList(op);
  const { plan } = job;
  const { bandwidthBytesPerSecond } = op.status;
  const started = await op.host(
    'ensureCommitStarted',
    { ...job, bandwidthBytesPerSecond, keepRelative: op.input.keepRelative },
    commitWords(plan),
  );
  if (started.outcome === 'started') {
    // A limit that was set while the job was being started found no job; an adopted job has an
    // earlier run's limit.
    const limited = op.status.bandwidthBytesPerSecond === bandwidthBytesPerSecond;
    if (plan.adopted || !limited) await limitJob(op);
    const { readyAtMs } = started;
    return readyAtMs === null ? { end: 'started' } : { end: 'ready', readyAtMs };
  }
  if (started.outcome === 'vm-stopped') return { end: 'vm stopped', reason: started.reason };
  if (started.outcome === 'busy') return { end: 'plan again', note: started.reason };
  if (started.outcome === 'failed') throw commitRefused(op, plan, started.reason);
  return SWITCHED;
}

/** 4: adds nothing to the history while it waits. */
async function awaitReady(op: MergeOperation, job: JobInput): Promise<Attempt | Ready> {
  for (let tellConvergence = true; ; tellConvergence = false) {
    const summary = `copy into ${fileName(job.plan.base.path)} until both hold the same`;
    const input = { ...job, until: 'ready' as const, tellConvergence };
    const seen = await op.host('awaitCommitReady', input, summary);
    if (seen.outcome === 'ready') return { end: 'ready', readyAtMs: seen.readyAtMs };
    if (seen.outcome === 'finished') return SWITCHED;
    if (seen.outcome === 'vm-stopped') return { end: 'vm stopped', reason: seen.reason };
    if (seen.outcome === 'gone') return { end: 'plan again', note: seen.reason };
    op.enter('copying', { note: seen.note });
  }
}

interface Ready {
  end: 'ready';
  readyAtMs: number | null;
}

/** 5: null when QEMU refused the pivot, so that READY must be awaited again. */
async function pivot(op: MergeOperation, job: JobInput, readyAtMs: number | null) {
  passPointOfNoReturn(op);
  op.enter('pivoting');
  const summary = `pivot to ${fileName(job.plan.base.path)}: suspend, pivot, verify, resume`;
  const done = await forwardOnly(() => op.host('ensurePivoted', job, summary));
  if (done.outcome === 'pivoted') {
    const { stallMs, pivotIssuedAtMs: issuedAtMs } = done;
    const measured = readyAtMs !== null && issuedAtMs !== null;
    const readyToPivotMs = measured ? Math.max(0, issuedAtMs - readyAtMs) : null;
    return { end: 'switched', stallMs, readyToPivotMs } as const;
  }
  returnBeforePoint(op, `the pivot did not happen: ${done.reason}`);
  if (done.outcome !== 'vm-stopped') return null;
  return { end: 'vm stopped', reason: done.reason } as const;
}

/** 2 to 5 while the VM is down. */
async function coldMerge(op: MergeOperation, plan: MergePlan): Promise<Attempt> {
  const job: JobInput = { plan, jobId: op.jobId };
  op.enter('copying');
  showInList(op);
  const limit = { bandwidthBytesPerSecond: op.status.bandwidthBytesPerSecond };
  const committed = await op.host('ensureColdCommitted', { ...job, ...limit }, commitWords(plan));
  if (committed.outcome !== 'committed') return { end: 'plan again', note: committed.reason };
  if (op.input.keepOverlay) return { end: 'kept' };
  passPointOfNoReturn(op);
  op.enter('pivoting');
  const { topModifiedNs } = committed;
  const switching = { ...job, topModifiedNs, keepRelative: op.input.keepRelative };
  const switched = await forwardOnly(() =>
    op.host('ensureColdSwitched', switching, `switch the record to ${fileName(plan.base.path)}`),
  );
  if (switched.outcome === 'committed') return SWITCHED;
  returnBeforePoint(op, switched.reason);
  return { end: 'plan again', note: switched.reason };
}

/**
 * The scope that can be undone: whatever ends it early, the job is ended and the chain proven
 * unchanged.
 */
async function untilPointOfNoReturn(
  op: MergeOperation,
  plan: MergePlan,
  body: () => Promise<Attempt>,
): Promise<Attempt> {
  try {
    return await body();
  } catch (error) {
    return await forwardOnly(async () => {
      op.enter('cancelling');
      const job: JobInput = { plan, jobId: op.jobId };
      const { outcome } = await op.host('ensureCommitAborted', job, 'end the job, prove the chain');
      // The cancel came when the chain had already switched: the rest is completed.
      if (outcome === 'merged') return SWITCHED;
      await op.host('ensureJobForgotten', job, 'remove the record of the job');
      throw error;
    });
  }
}

/** The scope that is always completed. */
const forwardOnly = <T>(body: () => Promise<T>) => CancellationScope.nonCancellable(body);
