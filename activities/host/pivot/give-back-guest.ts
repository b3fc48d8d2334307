/**
 * I12: a guest that a pivot suspended runs again, whichever process died in between; one that the
 * user paused stays paused.
 */
import { operationId } from '../../../workflows/chain/references.ts';
import { syncPath } from '../../adapters/files/files.ts';
import { domainFolder } from '../../adapters/virsh/libvirt-folders.ts';
import {
  awaitPivotScript,
  readPivotReport,
  removePivotReport,
  type PivotReport,
} from '../../adapters/virsh/safe-pivot.ts';
import { CommandError } from '../../adapters/process/command.ts';
import type { HostDeps } from '../deps.ts';
import { leaveLimbo } from './limbo.ts';
import { vmOf, type DiskSwitch } from './disk-switch.ts';
import { hasSwitched, lookAtDisk, pivotFile, type DiskLook } from './look-at-disk.ts';
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
  change: DiskSwitch,
): Promise<DiskLook & { isReloaded: boolean }> {
  const file = pivotFile(deps, change);
  await awaitPivotScript(file);
  let report = await readPivotReport(file);
  if (change.job === 'copy' || report?.copy) await untilInTouch(deps, change);
  let look = await lookAtDisk(deps, change);
  const left = await leaveLimbo(deps, change, look, report);
  if (left !== 'none') {
    report = await readPivotReport(file);
    look = await lookAtDisk(deps, change);
  }
  if (await giveBackGuest(deps, change, look, report)) look = await lookAtDisk(deps, change);
  return { ...look, isReloaded: left === 'reloaded' };
}

/**
 * A libvirtd that was just started answers this once it has taken up with QEMU again. Until then it
 * may show the mirror of a copy that QEMU has ended.
 */
async function untilInTouch({ libvirt }: HostDeps, { vmUuid, disk }: DiskSwitch): Promise<void> {
  await libvirt.blockJob(vmUuid, disk).catch((error: unknown) => {
    // A VM that is down, or gone, has no QEMU.
    if (!(error instanceof CommandError)) throw error;
  });
}

/**
 * Resumes the guest when the report of the last pivot says that the guest was running before and
 * was not resumed.
 * @returns true when it did something
 */
async function giveBackGuest(
  deps: HostDeps,
  change: DiskSwitch,
  look: DiskLook,
  report: PivotReport | null,
): Promise<boolean> {
  if (look.state !== 'paused') return false;
  if (report === null) return false;
  const isOurs = report.guest === 'running' && !report.resumed;
  if (!isOurs && !standsOnOld(look, change)) return false;
  const now = await settledLook(deps, change);
  // H1: while the two XMLs differ, a resumed guest's writes could be lost by QEMU's death.
  if (standsOnOld(now, change)) await switchRecord(deps, change, '--config');
  // As the script does it. A guest is not kept paused because its storage fails.
  const folder = look.persistent ? await domainFolder(vmOf(change)) : null;
  if (folder !== null) await syncPath(folder).catch(() => undefined);
  if (!isOurs) return true;
  await deps.effect('libvirt.resume-guest', operationId(change), async () => {
    await deps.libvirt.resume(change.vmUuid);
  });
  // From now on it is the user who paused a guest that is paused.
  await removePivotReport(pivotFile(deps, change));
  return true;
}

/**
 * Once libvirtd, which may just have come back, has done what it does by itself. A record that
 * still names the old layer is made right; any other difference that stays is a redefinition by a
 * user, and no reason to keep the guest paused.
 */
async function settledLook(deps: HostDeps, change: DiskSwitch): Promise<DiskLook> {
  const { now } = await untilSettled(PATIENCE, async () => {
    // Answered once libvirtd has taken up with QEMU again: what the XML says before that is old.
    await deps.libvirt.blockJob(change.vmUuid, change.disk);
    const seen = await lookAtDisk(deps, change);
    const isAsked = seen.state === 'paused' && seen.persistent && change.persistent;
    const active = seen.disk?.chain.at(-1)?.path;
    const agree = !isAsked || seen.persistentSource === active || standsOnOld(seen, change);
    return {
      now: seen,
      doubts: agree ? [] : [`the persistent XML names ${seen.persistentSource}`],
    };
  });
  return now;
}

/** libvirtd died before it wrote the record: the VM is on its new layer, and would boot the old. */
const standsOnOld = (look: DiskLook, change: DiskSwitch) =>
  look.state === 'paused' &&
  hasSwitched(look, change) &&
  look.persistentSource === change.from.path;
