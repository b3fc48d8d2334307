/**
 * A job in *limbo*: libvirtd died after QEMU had ended the job and before it noted so. It shows the
 * chain of before with a mirror that never ends, and refuses to abort and to pivot; after a
 * pivot QEMU has base all the same (docs/lab/libvirt.md).
 */
import { operationId } from '../../../workflows/chain/references.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
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
import { findQemu, openFiles } from '../../adapters/files/open-files.ts';
import { untilSettled } from '../../door/polling.ts';
import type { HostDeps } from '../deps.ts';
import { attempt, lookAtDisk, pivotFile, type DiskLook } from './observe-disk.ts';

/** Looks before an end that libvirt has begun counts as one that it will never note. */
const PATIENCE = 3;

/**
 * Frees a disk from limbo, where the guest has been suspended all the time: top and base hold the
 * same, so a QEMU that is started on the chain that libvirt shows has every write. The commit is to
 * be made again.
 * @returns true when the disk must be looked at again
 * @throws Hold `limbo` where the guest has run since, or libvirt refuses
 */
export async function leaveLimbo(
  deps: HostDeps,
  plan: MergePlan,
  look: DiskLook,
  report: PivotReport | null,
): Promise<boolean> {
  // Begun by an attempt that died between the two commands.
  const isSaved = look.state === 'off' && look.managedSave;
  if (report?.reload && isSaved) return reload(deps, plan, report.reload);
  if (report?.reload && !isEnding(look.disk)) {
    await removePivotReport(pivotFile(deps, plan));
    return true;
  }
  if (!isEnding(look.disk)) return false;
  const { now, doubts } = await untilSettled(PATIENCE, async () => {
    const running = look.state === 'off' ? null : await deps.libvirt.blockJob(...diskOf(plan));
    const seen = await lookAtDisk(deps, plan);
    return { now: seen, doubts: !running && isEnding(seen.disk) ? ['libvirt ends the job'] : [] };
  });
  if (doubts.length === 0) return true;
  const after = guestAfter(now, report);
  const mirror = now.disk?.mirror;
  if (after === null || mirror?.ending !== 'pivot' || mirror.job !== 'active-commit') {
    throw holdLimbo(attempt(plan), plan, now.disk);
  }
  await noteReload(pivotFile(deps, plan), after);
  return reload(deps, plan, after);
}

const diskOf = ({ vmUuid, disk }: MergePlan) => [vmUuid, disk] as const;
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

async function reload(deps: HostDeps, plan: MergePlan, after: GuestAfter): Promise<true> {
  const { vmUuid: uuid, vm } = plan;
  const resultFile = pivotFile(deps, plan);
  const said = await deps.effect('libvirt.reload-guest', operationId(plan), () =>
    reloadGuest(deps.libvirt.uri, suspensionState(deps.runtimeDir, uuid), { uuid, after }),
  );
  const { state, managedSave, disk } = await lookAtDisk(deps, plan);
  const isStuck = (state === 'off' && managedSave) || isEnding(disk);
  // From now on it is the user who paused a guest that is paused.
  if (!isStuck) await removePivotReport(resultFile);
  if (!isStuck) return true;
  throw hold('limbo', {
    attempted: `saving and starting VM ${vm}, whose job on ${plan.disk} libvirtd did not survive`,
    now:
      `libvirt said: ${said}; the guest is ${state === 'off' ? 'saved' : 'suspended'}, ` +
      `${plan.top.path} and ${plan.base.path} hold the same data`,
    next:
      'Fix what libvirt names (end jobs of other disks, make room for the memory), then ' +
      (state === 'off' ? '' : `\`virsh managedsave ${vm} --${after}\`, `) +
      `\`virsh start ${vm}\`, and repeat the request`,
  });
}

interface Named {
  vm: string;
  disk: string;
}

/** @param seen the disk, as libvirt shows it */
export function holdLimbo(attempted: string, { vm, disk }: Named, seen: XmlDisk | null) {
  const { ending, job, path: to = '' } = seen?.mirror ?? {};
  const shown = seen?.chain.at(-1)?.path ?? '';
  if (ending === 'abort') {
    const next = `\`virsh managedsave ${vm} --running\`, then \`virsh start ${vm}\``;
    return holdEnd(attempted, disk, { now: `QEMU and libvirt have ${shown}`, next });
  }
  const now = `libvirt shows ${shown}, but QEMU has ${to}, and its guest may have run since`;
  const first = `Let the record name ${to} (\`virsh edit ${vm}\`), then shut the guest down`;
  const next = job === 'copy' ? first : goOnWith({ vm, disk }, to);
  return holdEnd(attempted, disk, { now, next });
}

const holdEnd = (attempted: string, disk: string, { now, next }: { now: string; next: string }) =>
  hold('limbo', {
    attempted,
    now: `libvirtd did not survive the end of a job on ${disk}: ${now}; nothing was touched`,
    next: `${next}. Then repeat the request`,
  });

const goOnWith = ({ vm, disk }: Named, file: string) =>
  `Let QEMU go on with its file: \`virsh managedsave ${vm} --running\`; in both ` +
  `\`virsh managedsave-edit ${vm}\` and \`virsh edit ${vm}\` put ${file} into the <source> of ` +
  `${disk}, its format into <driver>, and delete <backingStore> and <mirror> with all in them; ` +
  `\`virsh start ${vm}\``;

/** Looks before a top that QEMU still has open counts: libvirt closes it after a pivot. */
const CLOSING = 10;

/**
 * libvirtd that dies in an *abort* at READY takes it for a pivot when it is back: base is in both
 * XMLs, while QEMU writes top.
 * @throws Hold `limbo` for a top that libvirt does not show any more and QEMU writes
 */
export async function assertLeftByQemu(deps: HostDeps, plan: MergePlan): Promise<void> {
  const { top, base, vmUuid, disk } = plan;
  if (plan.mode !== 'active') return;
  const { doubts } = await untilSettled(CLOSING, async () => {
    const pid = await findQemu(vmUuid);
    const files = pid === null ? [] : await openFiles(pid);
    const isWritten = files.some((file) => file.writable && file.identity === top.identity);
    return { doubts: isWritten ? [`QEMU has ${top.path} open`] : [] };
  });
  if (doubts.length === 0) return;
  const now = `libvirt shows ${base.path}, but QEMU writes ${top.path}`;
  throw holdEnd(attempt(plan), disk, { now, next: goOnWith(plan, top.path) });
}
