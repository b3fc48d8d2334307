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
  readPivotReport,
  removePivotReport,
  type PivotReport,
} from '../../adapters/virsh/safe-pivot.ts';
import type { HostDeps } from '../deps.ts';
import { leaveLimbo } from './limbo.ts';
import { lookAtDisk, pivotFile, topHasLeft, vmOf, type DiskLook } from './observe-disk.ts';
import { switchRecord } from './switch-record.ts';
import { untilSettled } from '../../door/polling.ts';

/** Looks for two XMLs that agree before the guest runs on in any case. */
const PATIENCE = 20;

/**
 * Looks at the disk once no pivot holds its guest: a script that runs is waited for. Where libvirtd
 * died inside the pivot libvirt is brought into agreement with QEMU first; then a guest that waits
 * is resumed.
 */
export async function lookAndGiveBack(
  deps: HostDeps,
  plan: MergePlan,
): Promise<DiskLook & { isReloaded: boolean }> {
  const file = pivotFile(deps, plan);
  await awaitPivotScript(file);
  let report = await readPivotReport(file);
  let look = await lookAtDisk(deps, plan);
  const isReloaded = await leaveLimbo(deps, plan, look, report);
  if (isReloaded) {
    report = await readPivotReport(file);
    look = await lookAtDisk(deps, plan);
  }
  if (await giveBackGuest(deps, plan, look, report)) look = await lookAtDisk(deps, plan);
  return { ...look, isReloaded };
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
 * @returns true when it did something
 */
async function giveBackGuest(
  deps: HostDeps,
  plan: MergePlan,
  look: DiskLook,
  report: PivotReport | null,
): Promise<boolean> {
  if (look.state !== 'paused') return false;
  if (report === null) return false;
  const isOurs = report.guest === 'running' && !report.resumed;
  if (!isOurs && !standsOnTop(look, plan)) return false;
  const now = await settledLook(deps, plan);
  // H1: while the two XMLs differ, a resumed guest's writes could be lost by QEMU's death.
  if (standsOnTop(now, plan)) await switchRecord(deps, plan, '--config');
  // As the script does it. A guest is not kept paused because its storage fails.
  const folder = look.persistent ? await domainFolder(vmOf(plan)) : null;
  if (folder !== null) await syncPath(folder).catch(() => undefined);
  if (!isOurs) return true;
  await deps.effect('libvirt.resume-guest', operationId(plan), async () => {
    await deps.libvirt.resume(plan.vmUuid);
  });
  // From now on it is the user who paused a guest that is paused.
  await removePivotReport(pivotFile(deps, plan));
  return true;
}

/**
 * Once libvirtd, which may just have come back, has done what it does by itself. A record that
 * still names top is made right; any other difference that stays is a redefinition by a user, and
 * no reason to keep the guest paused.
 */
async function settledLook(deps: HostDeps, plan: MergePlan): Promise<DiskLook> {
  const { now } = await untilSettled(PATIENCE, async () => {
    // Answered once libvirtd has taken up with QEMU again: what the XML says before that is old.
    await deps.libvirt.blockJob(plan.vmUuid, plan.disk);
    const seen = await lookAtDisk(deps, plan);
    const isAsked = seen.state === 'paused' && seen.persistent && plan.persistent;
    const active = seen.disk?.chain.at(-1)?.path;
    const agree = !isAsked || seen.persistentSource === active || standsOnTop(seen, plan);
    return {
      now: seen,
      doubts: agree ? [] : [`the persistent XML names ${seen.persistentSource}`],
    };
  });
  return now;
}

/** libvirtd died before it wrote the record: the VM runs on base, and would start from top. */
const standsOnTop = (look: DiskLook, plan: MergePlan) =>
  look.state === 'paused' && topHasLeft(look, plan) && look.persistentSource === plan.top.path;
