/** The end of a commit that is not wanted any more, before the point of no return. */
import type { ResultOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost, JobInput } from '../../../workflows/merge/activities.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import { stopColdCommit, coldCommitState } from '../../adapters/qemu-img/cold-commit.ts';
import { awaitPivotScript } from '../../adapters/virsh/safe-pivot.ts';
import { hasSwitched, lookAtDisk, pivotFile } from '../pivot/look-at-disk.ts';
import { isCommitOf, switchOf } from './observe-disk.ts';
import type { HostDeps } from '../deps.ts';
import { assertLeftByQemu } from '../pivot/limbo.ts';
import { lookAndGiveBack } from '../pivot/give-back-guest.ts';
import { abortQuietly } from '../pivot/abort-quietly.ts';

/**
 * Ends our job without a pivot and proves that the chain is what it was. Never touches a job that
 * is not ours.
 */
export async function ensureCommitAborted(
  deps: HostDeps,
  { plan, jobId }: JobInput,
): Promise<ResultOf<typeof mergeOnHost, 'ensureCommitAborted'>> {
  const change = switchOf(plan);
  await awaitPivotScript(pivotFile(deps, plan));
  // An offline commit that an earlier life of the agent started goes on by itself after a cancel.
  if (plan.mode === 'cold') await stopColdCommit(coldCommitState(deps.runtimeDir, jobId));
  const look = await lookAtDisk(deps, change);
  const job = look.state === 'off' ? null : await deps.libvirt.blockJob(plan.vmUuid, plan.disk);
  if (job && look.record?.jobId === jobId && (await isCommitOf(plan, look, job))) {
    await deps.effect('libvirt.abort-job', operationId(plan), () => abortQuietly(deps, plan));
  }
  const after = await lookAndGiveBack(deps, change);
  if (!hasSwitched(after, change)) return { outcome: 'unchanged' };
  if (plan.mode === 'active') await assertLeftByQemu(change);
  return { outcome: 'merged' };
}
