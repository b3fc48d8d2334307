/**
 * I12: a guest that a pivot suspended runs again, whichever process died in between; one that the
 * user paused stays paused.
 */
import { operationId } from '../../../workflows/chain/references.ts';
import { syncPath } from '../../adapters/files/files.ts';
import { domainFolder } from '../../adapters/virsh/libvirt-folders.ts';
import { isLeased, readPivotReport } from '../../adapters/virsh/safe-pivot.ts';
import { CommandError, saidIn } from '../../adapters/process/command.ts';
import type { HostDeps } from '../deps.ts';
import { assertLeftByQemu, leaveLimbo, type LeftLimbo } from './limbo.ts';
import { vmOf, type DiskSwitch } from './disk-switch.ts';
import { hasSwitched, lookAtDisk, pivotFile, type DiskLook } from './look-at-disk.ts';
import { reloadVm } from './reload-vm.ts';
import { lastSuspension, removeReports, withOthers } from './suspension.ts';
import { switchRecord } from './switch-record.ts';
import { awaitScriptOf } from './telling.ts';
import { untilSettled } from '../../door/polling.ts';
import { inTurn } from '../snapshots/in-turn.ts';

/** Looks for two XMLs that agree before the guest runs on in any case. */
const PATIENCE = 20;

type Settled = DiskLook & { isReloaded: boolean };

/**
 * Looks at the disk once no pivot holds its guest: a script that runs is waited for. Where libvirtd
 * died inside the pivot libvirt is brought into agreement with QEMU first; then a guest that waits
 * is resumed.
 */
export async function lookAndGiveBack(deps: HostDeps, change: DiskSwitch): Promise<Settled> {
  const [look] = await lookAndGiveBackAll(deps, [change]);
  return look as Settled;
}

/**
 * The same of disks of one VM that switch within one suspension. One after the other: the move of
 * each disk looks when it sees what has become of its mirror.
 */
export async function lookAndGiveBackAll(
  deps: HostDeps,
  changes: readonly DiskSwitch[],
): Promise<Settled[]> {
  const [{ vmUuid }] = changes as [DiskSwitch];
  return inTurn(`suspension of ${vmUuid}`, async () => {
    for (const change of changes) await awaitScriptOf(deps, change);
    const all = await withOthers(deps, changes);
    const seen: { look: DiskLook; left: LeftLimbo }[] = [];
    for (const change of all) seen.push(await leave(deps, change, all));
    const look = () => Promise.all(all.map((change) => lookAtDisk(deps, change)));
    const isSettled = seen.every(({ left }) => left === 'none');
    let looks = isSettled ? seen.map((one) => one.look) : await look();
    const given = await giveBackGuest(deps, all, looks);
    if (given !== 'not ours') looks = await look();
    const isReloaded = given === 'reloaded' || seen.some(({ left }) => left === 'reloaded');
    return looks.slice(0, changes.length).map((one) => ({ ...one, isReloaded }));
  });
}

async function leave(
  deps: HostDeps,
  change: DiskSwitch,
  all: readonly DiskSwitch[],
): Promise<{ look: DiskLook; left: LeftLimbo }> {
  const report = await readPivotReport(pivotFile(deps, change));
  if (change.job === 'copy' || report?.copy) await untilInTouch(deps, change);
  const look = await lookAtDisk(deps, change);
  const others = all.filter(({ disk }) => disk !== change.disk);
  return { look, left: await leaveLimbo(deps, { change, others }, look, report) };
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
 * Resumes the guest when the reports of the last suspension say that the guest was running before
 * and was not resumed.
 */
async function giveBackGuest(
  deps: HostDeps,
  changes: readonly DiskSwitch[],
  looks: readonly DiskLook[],
): Promise<'not ours' | 'right' | 'reloaded'> {
  if (!looks.some(({ state }) => state === 'paused')) return 'not ours';
  const suspended = await lastSuspension(deps, changes);
  if (suspended === null) return 'not ours';
  const { isOurs } = suspended;
  const isLate = changes.some((change, at) => standsOnOld(looks[at] as DiskLook, change));
  if (!isOurs && !isLate) return 'not ours';
  for (const change of changes) {
    const now = await settledLook(deps, change);
    // H1: while the two XMLs differ, a resumed guest's writes could be lost by QEMU's death.
    if (standsOnOld(now, change)) await switchRecord(deps, change, '--config');
    // An abort that libvirtd took for a pivot: QEMU would write to what no XML names.
    if (suspended.action === 'abort' && hasSwitched(now, change)) await assertLeftByQemu(change);
  }
  const [change] = changes as [DiskSwitch];
  // As the script does it. A guest is not kept paused because its storage fails.
  const folder = looks.some(({ persistent }) => persistent) && (await domainFolder(vmOf(change)));
  if (folder) await syncPath(folder).catch(() => undefined);
  if (!isOurs) return 'right';
  const refusal = await resume(deps, change);
  if (refusal !== null) {
    const why = `which libvirt's lock manager lets not be resumed (${refusal})`;
    const together = { change, others: changes.slice(1) };
    await reloadVm(deps, { ...together, after: 'running', code: 'lock-manager', why });
  }
  // From now on it is the user who paused a guest that is paused.
  await removeReports(deps, change.vmUuid, suspended.disks);
  return refusal === null ? 'right' : 'reloaded';
}

/** @returns libvirt's words where a lease is in the way, which stays until QEMU has ended (D53) */
const resume = (deps: HostDeps, change: DiskSwitch): Promise<string | null> =>
  deps.effect('libvirt.resume-guest', operationId(change), () =>
    deps.libvirt.resume(change.vmUuid).then(
      () => null,
      (error: unknown) => {
        if (error instanceof CommandError && isLeased(error.stderr)) return inOneLine(error.stderr);
        throw error;
      },
    ),
  );
const inOneLine = (stderr: string) => saidIn(stderr).replaceAll('\n', ': ');

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
