/**
 * Where libvirtd died after QEMU had ended a job and before it noted so, what it shows is not what
 * QEMU has (docs/lab/libvirt.md). It has either forgotten a mirror: *unseen*; or it shows one that
 * never ends, and refuses to abort and to pivot: *limbo*.
 */
import {
  removePivotReport,
  type GuestAfter,
  type PivotReport,
} from '../../adapters/virsh/safe-pivot.ts';
import { giveOwnerOf } from '../../adapters/files/attributes.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { findQemu, openByQemu } from '../../adapters/files/open-files.ts';
import { poll, untilSettled } from '../../door/polling.ts';
import type { HostDeps } from '../deps.ts';
import type { DiskSwitch } from './disk-switch.ts';
import { goOnWith, holdEnd, holdLimbo, holdSuspended } from './holds.ts';
import { hasSwitched, isEnding, lookAtDisk, pivotFile, type DiskLook } from './look-at-disk.ts';
import { reloadVm, type Together } from './reload-vm.ts';

/** Looks before an end that libvirt has begun counts as one that it will never note. */
const PATIENCE = 3;

/** `reloaded`: saved and started, with its old chain. `ended`: libvirt has ended the job itself. */
export type LeftLimbo = 'reloaded' | 'ended' | 'none';

/**
 * Brings libvirt into agreement with QEMU where the guest has been suspended all the time: both
 * layers hold the same, so a QEMU that is started on the chain that libvirt shows has every write.
 * The job is to be done again.
 * @returns whether the disk must be looked at again, and why
 * @throws Hold `limbo` where the guest has run since, or libvirt refuses
 */
export async function leaveLimbo(
  deps: HostDeps,
  together: Together,
  look: DiskLook,
  report: PivotReport | null,
): Promise<LeftLimbo> {
  const { change } = together;
  // Begun by an attempt that died between the two commands.
  const isSaved = look.state === 'off' && look.managedSave;
  if (report?.reload && isSaved) return reload(deps, together, report.reload, null);
  if (!isEnding(look.disk)) {
    if (await leaveUnseen(deps, together, look, report)) return 'reloaded';
    if (!report?.reload || (await isNotReloaded(change, look, report))) return 'none';
    // Done by an attempt that died before it could say so.
    await removePivotReport(pivotFile(deps, change));
    return 'reloaded';
  }
  await untilQemuIsDone(deps, change);
  const { now, doubts } = await untilSettled(PATIENCE, async () => {
    const seen = await lookAtDisk(deps, change);
    return { now: seen, doubts: isEnding(seen.disk) ? ['libvirt ends the job'] : [] };
  });
  if (doubts.length === 0) return 'ended';
  const after = guestAfter(now, report);
  const { job, ending } = now.disk?.mirror ?? {};
  if (after === null || ending !== 'pivot') throw holdLimbo(change.attempted, change, now.disk);
  // libvirt saves no guest that has a mirror of this kind.
  if (job !== 'active-commit')
    throw holdSuspended({ ...change, from: change.from.path, to: change.to.path });
  return reload(deps, together, after, null);
}

/** Whether the guest, which was to run, still stands in the QEMU that was to be ended. */
async function isNotReloaded({ vmUuid }: DiskSwitch, { state }: DiskLook, report: PivotReport) {
  const { reload: after, reloadedQemu: before } = report;
  return state === 'paused' && after === 'running' && before === (await findQemu(vmUuid));
}

/** QEMU may be long at the end of a job, where a storage is slow: until then it is no limbo. */
function untilQemuIsDone(deps: HostDeps, change: DiskSwitch): Promise<void> {
  const { vmUuid, disk } = change;
  return poll(async () => {
    const { state, ...seen } = await lookAtDisk(deps, change);
    const runs =
      state !== 'off' &&
      isEnding(seen.disk) &&
      (await deps.libvirt.blockJob(vmUuid, disk)) !== null;
    if (!runs) return { end: undefined };
    const note = `QEMU ends the job on ${disk}: a storage may be slow`;
    return { shown: { phase: 'waiting', note }, pauseMs: END_AGAIN_MS };
  });
}
const END_AGAIN_MS = 500;

/** As it was before the pivot; null when it may have run since, or that cannot be told. */
export function guestAfter(
  { state }: Pick<DiskLook, 'state'>,
  report: PivotReport | null,
): GuestAfter | null {
  if (state !== 'paused' || report === null) return null;
  if (report.guest === 'paused') return 'paused';
  return report.guest === 'running' && !report.resumed ? 'running' : null;
}

/** Looks before a file that QEMU still has open counts: libvirt closes it after a job. */
const CLOSING = 10;

/**
 * A copy that libvirtd has forgotten in the pivot: it shows the source without a mirror, while QEMU
 * has both files open and writes the copy (H2). Whatever is done to the disk next, it may be the
 * copy of an operation that was terminated.
 */
async function leaveUnseen(
  deps: HostDeps,
  together: Together,
  look: DiskLook,
  report: PivotReport | null,
): Promise<boolean> {
  const { change } = together;
  const copy = await copyOf(change, report);
  if (!copy || look.state === 'off' || !hidesCopy(look, copy)) return false;
  const { now, doubts } = await untilSettled(CLOSING, async () => {
    const seen = await lookAtDisk(deps, change);
    const isDoubtful = hidesCopy(seen, copy) && (await isWritten(change, copy.identity));
    return { now: seen, doubts: isDoubtful ? [`QEMU has ${copy.path} open`] : [] };
  });
  if (doubts.length === 0) return false;
  const after = guestAfter(now, report);
  if (after === null) throw unseenByLibvirt(change, now, copy);
  await reload(deps, together, after, copy);
  return true;
}

interface Copy {
  path: string;
  identity: string;
}

async function copyOf({ job, to }: DiskSwitch, report: PivotReport | null): Promise<Copy | null> {
  // That of an operation before this one, as long as this one has not pivoted.
  const other = report?.copy && report.copy !== to.path ? report.copy : null;
  if (job === 'copy' && other === null) return to;
  const file = other === null ? null : await observeFile(other);
  return other !== null && file ? { path: other, identity: file.identity } : null;
}

const hidesCopy = ({ disk }: DiskLook, { path }: Copy) =>
  disk !== null && disk.mirror === null && disk.chain.every((volume) => volume.path !== path);

async function isWritten({ vmUuid }: DiskSwitch, identity: string): Promise<boolean> {
  const files = (await openByQemu(vmUuid, new Set([identity]))) ?? [];
  return files.some((file) => file.writable && file.identity === identity);
}

async function reload(
  deps: HostDeps,
  together: Together,
  after: GuestAfter,
  copy: Copy | null,
): Promise<'reloaded'> {
  const { change } = together;
  const { from, to } = change;
  await reloadVm(deps, {
    ...together,
    after,
    code: 'limbo',
    why: `whose job on ${change.disk} libvirtd did not survive`,
    // QEMU opens its files again when its guest is saved. One that libvirt shows has its owner.
    before: async () => {
      if (hasSwitched(await lookAtDisk(deps, change), change)) return;
      await giveOwnerOf(from.path, copy ?? to);
    },
    isStuck: async (disk) =>
      isEnding(disk) || (copy !== null && (await isWritten(change, copy.identity))),
  });
  return 'reloaded';
}

function unseenByLibvirt(change: DiskSwitch, { disk }: DiskLook, copy: Copy) {
  const shown = disk?.chain.at(-1)?.path ?? '';
  const now = `libvirt shows ${shown}, but QEMU has ${copy.path}, and its guest may have run since`;
  return holdEnd(change.attempted, change.disk, { now, next: goOnWith(change, copy.path, shown) });
}

/**
 * libvirtd that dies in an *abort* at READY takes it for a pivot when it is back: the new layer is
 * in both XMLs, while QEMU writes the old one.
 * @throws Hold `limbo` for an old layer that libvirt does not show any more and QEMU writes
 */
export async function assertLeftByQemu(change: DiskSwitch): Promise<void> {
  const { from, to, attempted, disk } = change;
  const { doubts } = await untilSettled(CLOSING, async () => {
    const is = await isWritten(change, from.identity);
    return { doubts: is ? [`QEMU has ${from.path} open`] : [] };
  });
  if (doubts.length === 0) return;
  const now = `libvirt shows ${to.path}, but QEMU writes ${from.path}`;
  throw holdEnd(attempted, disk, { now, next: goOnWith(change, from.path, to.path) });
}
