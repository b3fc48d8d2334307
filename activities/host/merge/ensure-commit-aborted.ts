/** The end of a commit that is not wanted any more, before the point of no return. */
import type { ResultOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost, JobInput } from '../../../workflows/merge/activities.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import { CommandError } from '../../adapters/process/command.ts';
import { stopColdCommit, coldCommitState } from '../../adapters/qemu-img/cold-commit.ts';
import { awaitPivotScript } from '../../adapters/virsh/safe-pivot.ts';
import { lookAtDisk, isCommitOf, pivotFile, topHasLeft } from './observe-disk.ts';
import type { HostDeps } from '../deps.ts';
import { assertLeftByQemu } from './limbo.ts';
import { lookAndGiveBack } from './give-back-guest.ts';

/**
 * Ends our job without a pivot and proves that the chain is what it was. Never touches a job that
 * is not ours.
 */
export async function ensureCommitAborted(
  deps: HostDeps,
  { plan, jobId }: JobInput,
): Promise<ResultOf<typeof mergeOnHost, 'ensureCommitAborted'>> {
  await awaitPivotScript(pivotFile(deps, plan));
  // An offline commit that an earlier life of the agent started goes on by itself after a cancel.
  if (plan.mode === 'cold') await stopColdCommit(coldCommitState(deps.runtimeDir, jobId));
  const look = await lookAtDisk(deps, plan);
  const job = look.state === 'off' ? null : await deps.libvirt.blockJob(plan.vmUuid, plan.disk);
  if (job && look.record?.jobId === jobId && (await isCommitOf(plan, look, job))) {
    await deps.effect('libvirt.abort-job', operationId(plan), () => abortQuietly(deps, plan));
  }
  const after = await lookAndGiveBack(deps, plan);
  if (!topHasLeft(after, plan)) return { outcome: 'unchanged' };
  await assertLeftByQemu(deps, plan);
  return { outcome: 'merged' };
}

/**
 * "No active block job" and "still being ended" mean that the job ends without us; the next look
 * tells how.
 */
async function abortQuietly(deps: HostDeps, plan: JobInput['plan']): Promise<void> {
  await deps.libvirt.abortJob(plan.vmUuid, plan.disk).catch((error: unknown) => {
    const ended = /does not have an active block job|is still being ended|not running/;
    if (!(error instanceof CommandError && ended.test(error.stderr))) throw error;
  });
}
