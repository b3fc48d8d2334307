/** The end of an operation on its host: nothing there tells of it any more. */
import type { JobInput } from '../../../workflows/merge/activities.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import { forgetState } from '../../adapters/process/detached.ts';
import { coldCommitState } from '../../adapters/qemu-img/cold-commit.ts';
import { removePivotReport } from '../../adapters/virsh/safe-pivot.ts';
import type { HostDeps } from '../deps.ts';
import { provenState } from '../chain/lost-vm.ts';
import { scopesOf } from './job-record.ts';
import { vmOf } from '../pivot/disk-switch.ts';
import { hasSwitched, lookAtDisk, pivotFile } from '../pivot/look-at-disk.ts';
import { switchOf } from './observe-disk.ts';

/**
 * Removes the record, and the agent's own small files of the job. A domain that is gone has no
 * record.
 */
export async function ensureJobForgotten(deps: HostDeps, { plan, jobId }: JobInput): Promise<void> {
  const { vmUuid, disk } = plan;
  await resumeAfterDeletion(deps, plan);
  const scopes = scopesOf(await provenState(deps, vmOf(plan), `forgetting job ${jobId}`));
  await deps.effect('libvirt.forget-job', operationId(plan), async () => {
    // virsh removes neither when one of the two is not there, so what it leaves is removed one by
    // one.
    if (scopes.length === 0 || (await deps.libvirt.removeRecord(vmUuid, disk, scopes))) return;
    for (const scope of scopes) {
      await deps.libvirt.removeRecord(vmUuid, disk, [scope]);
    }
  });
  await removePivotReport(pivotFile(deps, plan));
  await forgetState(coldCommitState(deps.runtimeDir, jobId));
}

/**
 * An inner merge leaves the guest on its layer, so that it is the deletion of the merged volumes
 * which gives space to one that QEMU paused. Without space QEMU pauses it again.
 */
async function resumeAfterDeletion(deps: HostDeps, plan: JobInput['plan']): Promise<void> {
  if (plan.mode !== 'inner') return;
  const change = switchOf(plan);
  const look = await lookAtDisk(deps, change);
  const isPausedByQemu = look.state === 'paused' && look.stateReason.includes('I/O error');
  if (!isPausedByQemu || !hasSwitched(look, change)) return;
  await deps.effect('libvirt.resume-guest', operationId(plan), async () => {
    await deps.libvirt.resume(plan.vmUuid);
  });
}
