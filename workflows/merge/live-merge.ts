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
 *  2. record   job id, top, base and the files to delete, in the domain's metadata: a user sees
 *              whose job it is. In the activity of 3, before its effect.
 *  3. commit   QEMU's job runs (it survives every process of ours); cold: qemu-img runs.
 *  4. ready    base has what top has, and follows it (active), or the job ended by itself (inner),
 *              or qemu-img did (cold).
 *  5. switch   POINT OF NO RETURN. Active: guest suspended, pivot, persistent XML on disk, guest
 *              resumed. Inner: it is past when the chain shows it. Cold: the persistent XML, or the
 *              overlay's header, names base.
 *  6. prove    nothing; four views of the chain agree and no process has the committed volumes
 *              open (I3).
 *  7. follow   libvirt's snapshot metadata names no file that goes.
 *  8. delete   the committed volumes are gone, by the SPM agent of their pool.
 *  9. forget   the record is gone. Then the report.
 *
 * Cancel: before 5 the job is ended and the chain is what it was; after it, it is refused and the
 * merge completed. Terminate: the next request finds the record and the job, and goes on from
 * there. Invariants: I1 (5), I3 (6, 8), I6 (every step observes first), I8, I9, I10, I12 (5), I17
 * (6).
 */
import type { chainOnHost } from '../chain/activities.ts';
import type { Decision } from '../operation/steering/decision.ts';
import { agentsOf, type Agents, type Operation } from '../operation/operation.ts';
import { forwardOnly, undoable } from '../operation/point-of-no-return.ts';
import { run } from '../operation/run.ts';
import type { poolsOnHost, poolsOnStorage } from '../pools/activities.ts';
import type { JobInput, mergeOnHost } from './activities.ts';
import { SWITCHED, switchChain, type Attempt } from './committing.ts';
import { acceptMessages } from './decision.ts';
import { alreadyDone, finishKept, finishMerge, giveUp, jobLost, vmStopped } from './ending.ts';
import { mergeKind, type LiveMergeResult } from './kind.ts';
import type { MergePlan } from './plan.ts';
import { planMerge } from './planning.ts';
import type { LiveMergeInput } from './request.ts';

type OnHost = typeof mergeOnHost & typeof chainOnHost & typeof poolsOnHost;
type OnStorage = typeof poolsOnStorage;

export interface MergeOperation extends Operation<typeof mergeKind>, Agents<OnHost, OnStorage> {}

export function LiveMerge(request: LiveMergeInput): Promise<LiveMergeResult> {
  return run(mergeKind, request, (opened) => {
    const op = Object.assign(opened, agentsOf<OnHost, OnStorage>(opened));
    const decision = acceptMessages(op);
    return () => merge(op, decision);
  });
}

async function merge(op: MergeOperation, decision: Decision): Promise<LiveMergeResult> {
  let earlier: MergePlan | null = null;
  let lost = 0;
  const lostBy = new Set<string>();
  for (;;) {
    const planned = await planMerge(op).catch((e: unknown) => giveUp(op, earlier, e)); // 1
    if (planned.kind === 'done') return alreadyDone(op, planned);
    const { plan, waited } = planned;
    earlier = plan;
    const attempt = await undoable<Attempt>(
      () => switchChain(op, plan, decision), // 2-5
      () => endJob(op, plan),
    );
    switch (attempt.end) {
      case 'switched':
        op.point.isBehind();
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
        lostBy.add(attempt.reason);
        if (lost > ATTEMPTS) return giveUp(op, plan, jobLost(op, plan, lostBy));
        op.enter('planning', { note: attempt.reason });
    }
  }
}

/** Times that a job may be lost for no reported reason before the operation gives up. */
const ATTEMPTS = 3;

/** Undoes 2 to 5: the job is ended and the chain proven unchanged, unless it has switched. */
async function endJob(op: MergeOperation, plan: MergePlan): Promise<Attempt | null> {
  op.enter('cancelling');
  const job: JobInput = { plan, jobId: op.jobId };
  const { outcome } = await op.host.ensureCommitAborted(job, 'end the job, prove the chain');
  // The cancel came when the chain had already switched: the rest is completed.
  if (outcome === 'merged') return SWITCHED;
  await op.host.ensureJobForgotten(job, 'remove the record of the job');
  return null;
}
