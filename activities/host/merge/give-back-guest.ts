/**
 * I12: a guest that a pivot suspended runs again, whichever process died in between; one that the
 * user paused stays paused.
 */
import { operationId } from '../../../workflows/chain/references.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import { syncPath } from '../../adapters/files/files.ts';
import { domainFolder } from '../../adapters/virsh/libvirt-folders.ts';
import {
  awaitPivotScript,
  pivotResultFile,
  readPivotReport,
  removePivotReport,
} from '../../adapters/virsh/safe-pivot.ts';
import type { HostDeps } from '../deps.ts';
import { lookAtDisk, topHasLeft, type DiskLook } from './observe-disk.ts';
import { untilSettled } from '../../door/polling.ts';

/** Looks for two XMLs that agree before the guest runs on in any case. */
const PATIENCE = 20;

export const pivotFile = (deps: HostDeps, ref: { vmUuid: string; disk: string }) =>
  pivotResultFile(deps.runtimeDir, ref);

/**
 * Looks at the disk once no pivot holds its guest: a script that runs is waited for, a dead one's
 * guest resumed.
 */
export async function lookAndGiveBack(deps: HostDeps, plan: MergePlan): Promise<DiskLook> {
  await awaitPivotScript(pivotFile(deps, plan));
  const look = await lookAtDisk(deps, plan);
  return (await giveBackGuest(deps, plan, look)) ? lookAtDisk(deps, plan) : look;
}

/**
 * An inner merge leaves the guest on its layer, so that it is the deletion of the merged volumes
 * which gives space to one that QEMU paused. Without space QEMU pauses it again.
 */
export async function resumeAfterDeletion(deps: HostDeps, plan: MergePlan): Promise<void> {
  if (plan.mode !== 'inner') return;
  const look = await lookAtDisk(deps, plan);
  const isPausedByQemu = look.state === 'paused' && look.stateReason.includes('I/O error');
  if (!isPausedByQemu || !topHasLeft(look, plan)) return;
  await deps.effect('libvirt.resume-guest', operationId(plan), async () => {
    await deps.libvirt.resume(plan.vmUuid);
  });
}

/**
 * Resumes the guest when the report of the last pivot says that the guest was running before and
 * was not resumed.
 * @returns true when it did
 */
async function giveBackGuest(deps: HostDeps, plan: MergePlan, look: DiskLook): Promise<boolean> {
  if (look.state !== 'paused') return false;
  const report = await readPivotReport(pivotFile(deps, plan));
  if (!report || report.guest !== 'running' || report.resumed) return false;
  // H1: while the two XMLs differ, a resumed guest's writes could be lost by QEMU's death. libvirtd
  // fixes that when it reconnects; a difference that stays is a redefinition by a user, and no
  // reason to keep the guest paused.
  await untilSettled(PATIENCE, async () => {
    const now = await lookAtDisk(deps, plan);
    const isAsked = now.state === 'paused' && now.persistent;
    const agree = !isAsked || now.persistentSource === now.disk?.chain.at(-1)?.path;
    return { doubts: agree ? [] : [`the persistent XML names ${now.persistentSource}`] };
  });
  // As the script does it. A guest is not kept paused because its storage fails.
  const folder = look.persistent ? await domainFolder({ name: plan.vm, uuid: plan.vmUuid }) : null;
  if (folder !== null) await syncPath(folder).catch(() => undefined);
  await deps.effect('libvirt.resume-guest', operationId(plan), async () => {
    await deps.libvirt.resume(plan.vmUuid);
  });
  // From now on it is the user who paused a guest that is paused.
  await removePivotReport(pivotFile(deps, plan));
  return true;
}
