/**
 * Where libvirtd died after QEMU had ended a job and before it noted so, what it shows is not what
 * QEMU has (docs/lab/libvirt.md). It has either forgotten a mirror: *unseen*; or it shows one that
 * never ends, and refuses to abort and to pivot: *limbo*.
 */
import { operationId } from '../../../workflows/chain/references.ts';
import { hold } from '../../../workflows/operation/failures.ts';
import type { XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';
import {
  noteReload,
  reloadGuest,
  removePivotReport,
  suspensionState,
  type GuestAfter,
  type PivotReport,
} from '../../adapters/virsh/safe-pivot.ts';
import { giveOwnerOf } from '../../adapters/files/attributes.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { openByQemu } from '../../adapters/files/open-files.ts';
import { poll, untilSettled } from '../../door/polling.ts';
import type { HostDeps } from '../deps.ts';
import { abortQuietly } from './abort-quietly.ts';
import type { DiskSwitch } from './disk-switch.ts';
import { goOnWith, holdEnd, holdLimbo, holdSuspended } from './holds.ts';
import { lookAtDisk, pivotFile, type DiskLook } from './look-at-disk.ts';
import { isOurMirror } from './our-mirror.ts';

/** Looks before an end that libvirt has begun counts as one that it will never note. */
const PATIENCE = 3;

/** `reloaded`: saved and started, with its old chain. `ended`: libvirt has ended the job itself. */
export type LeftLimbo = 'reloaded' | 'ended' | 'none';

/** A disk, and those that switch within the same suspension. */
interface Together {
  change: DiskSwitch;
  others: readonly DiskSwitch[];
}

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
    if (!report?.reload) return 'none';
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
  await noteReload(pivotFile(deps, change), after);
  return reload(deps, together, after, null);
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

export const isEnding = (disk: XmlDisk | null) => (disk?.mirror?.ending ?? null) !== null;

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
  await noteReload(pivotFile(deps, change), after);
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
  { change, others }: Together,
  after: GuestAfter,
  copy: Copy | null,
): Promise<'reloaded'> {
  const { vmUuid: uuid, vm, from } = change;
  const to = copy ?? change.to;
  // libvirt saves no guest that has a mirror. They are made again.
  for (const other of others) await endMirror(deps, other);
  const said = await deps.effect('libvirt.reload-guest', operationId(change), async () => {
    // QEMU opens its files again when its guest is saved.
    await giveOwnerOf(from.path, to);
    return reloadGuest(deps.libvirt.uri, suspensionState(deps.runtimeDir, uuid), { uuid, after });
  });
  const { state, managedSave, disk } = await lookAtDisk(deps, change);
  const isStuck =
    (state === 'off' && managedSave) ||
    isEnding(disk) ||
    (copy !== null && (await isWritten(change, copy.identity)));
  // From now on it is the user who paused a guest that is paused.
  if (!isStuck) {
    const all = [change, ...others].map((one) => pivotFile(deps, one));
    for (const file of all) await removePivotReport(file);
    return 'reloaded';
  }
  throw hold('limbo', {
    attempted: `saving and starting VM ${vm}, whose job on ${change.disk} libvirtd did not survive`,
    now:
      `libvirt said: ${said}; the guest is ${state === 'off' ? 'saved' : 'suspended'}, ` +
      `${from.path} and ${to.path} hold the same data`,
    next:
      'Fix what libvirt names (end jobs of other disks, make room for the memory), then ' +
      (state === 'off' ? '' : `\`virsh managedsave ${vm} --${after}\`, `) +
      `\`virsh start ${vm}\`, and repeat the request`,
  });
}

async function endMirror(deps: HostDeps, other: DiskSwitch): Promise<void> {
  const { disk, state } = await lookAtDisk(deps, other);
  if (state === 'off' || isEnding(disk) || !(await isOurMirror(other, disk))) return;
  await deps.effect('libvirt.abort-job', operationId(other), () => abortQuietly(deps, other));
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
