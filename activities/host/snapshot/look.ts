/** The short look at all disks of a snapshot, and what it means. */
import { dirname } from 'node:path';
import type { Taking } from '../../../workflows/snapshot/create/activities.ts';
import type { NamedVolume } from '../../../workflows/chain/references.ts';
import { CommandError } from '../../adapters/process/command.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { findQemu, openFiles } from '../../adapters/files/open-files.ts';
import type { XmlDisk, XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';
import { readHeaderChain } from '../chain/header-chain.ts';
import { lookAtVm, type VmLook } from '../chain/observe-vm.ts';
import { identityIn } from '../../pool-folder/id.ts';
import type { HostDeps } from '../deps.ts';

/** Which of a disk's two layers something names, or writes; `other`: neither. */
export type Layer = 'base' | 'overlay' | 'other';

export interface DiskViews {
  disk: string;
  /** Null while the VM is down. */
  live: Layer | null;
  /** Null for a transient VM. */
  recorded: Layer | null;
  /** Which one QEMU has open for writing; null without a QEMU. */
  written: Layer | null;
}

export interface SnapshotLook {
  vm: VmLook;
  disks: DiskViews[];
}

export async function lookAtSnapshot(deps: HostDeps, taking: Taking): Promise<SnapshotLook> {
  const { plan, overlays } = taking;
  await untilInTouch(deps, taking);
  const attempted = `taking snapshot ${plan.snapshot} of ${plan.vm}`;
  const vm = await lookAtVm(deps, { uuid: plan.vmUuid, name: plan.vm }, attempted);
  const pid = vm.state === 'off' ? null : await findQemu(plan.vmUuid);
  const open = pid === null ? null : await openFiles(pid);
  const disks = plan.disks.map(async ({ disk, base }): Promise<DiskViews> => {
    const ours = overlays.find((overlay) => overlay.disk === disk)?.volume;
    const ids = { base: await identityHere(base), overlay: ours ? await identityHere(ours) : null };
    const writes = (identity: string | null) =>
      open?.some((file) => file.writable && file.identity === identity) ?? false;
    // Of a base that is below an overlay QEMU has given up the right to write.
    const written = writes(ids.base) ? 'base' : writes(ids.overlay) ? 'overlay' : 'other';
    return {
      disk,
      live: vm.live && (await layerIn(vm.live, disk, ids)),
      recorded: vm.persistentDomain && (await layerIn(vm.persistentDomain, disk, ids)),
      written: open && written,
    };
  });
  return { vm, disks: await Promise.all(disks) };
}

/** A libvirtd that was just started answers this once it has taken up with QEMU again. */
async function untilInTouch({ libvirt }: HostDeps, { plan }: Taking): Promise<void> {
  const [first] = plan.disks;
  if (!first) return;
  await libvirt.blockJob(plan.vmUuid, first.disk).catch((error: unknown) => {
    // A VM that is down, or gone, has no QEMU.
    if (!(error instanceof CommandError)) throw error;
  });
}

const identityHere = (volume: NamedVolume) => identityIn(dirname(volume.path), volume);

interface Identities {
  base: string | null;
  overlay: string | null;
}

/** Later snapshots may stand on the overlay: then it is in the chain all the same. */
async function layerIn(domain: XmlDomain, target: string, ids: Identities): Promise<Layer> {
  const disk = domain.disks.find((one) => one.target === target);
  const active = disk?.chain.at(-1)?.path;
  if (!disk || active === undefined) return 'other';
  const identity = (await observeFile(active))?.identity ?? null;
  if (identity === null) return 'other';
  if (identity === ids.base) return 'base';
  if (identity === ids.overlay) return 'overlay';
  return (await standsOn(domain, disk, ids.overlay)) ? 'overlay' : 'other';
}

async function standsOn(domain: XmlDomain, disk: XmlDisk, overlay: string | null) {
  if (overlay === null) return false;
  const ref = { vm: domain.name, disk: disk.target, host: '' };
  const chain = await readHeaderChain(ref, disk).catch(() => new Map<string, unknown>());
  const files = await Promise.all([...chain.keys()].map((path) => observeFile(path)));
  return files.some((file) => file?.identity === overlay);
}

/**
 * `taken`: all views name the overlays. `unrecorded`: but for the record. `unseen`: QEMU has
 * switched, and libvirt does not know it (H3). `not-taken`: all views name the bases. `divergent`:
 * they differ between disks, or name something else.
 */
export type Verdict = 'taken' | 'unrecorded' | 'unseen' | 'not-taken' | 'divergent';

/** Pure: every combination is tested. All disks of a snapshot are in one transaction of QEMU. */
export function verdictOf(disks: readonly DiskViews[]): Verdict {
  const all = (view: 'live' | 'recorded' | 'written', layer: Layer | null) =>
    disks.every((disk) => disk[view] === layer);
  const isDown = all('live', null);
  if (isDown) {
    if (all('recorded', 'overlay')) return 'taken';
    return all('recorded', 'base') ? 'not-taken' : 'divergent';
  }
  const isTransient = all('recorded', null);
  if (all('live', 'overlay')) {
    if (isTransient || all('recorded', 'overlay')) return 'taken';
    return disks.every(({ recorded }) => recorded !== 'other') ? 'unrecorded' : 'divergent';
  }
  if (!all('live', 'base') || !(isTransient || all('recorded', 'base'))) return 'divergent';
  if (all('written', 'overlay')) return 'unseen';
  return all('written', 'base') || all('written', null) ? 'not-taken' : 'divergent';
}

/** In words, for messages. */
export const viewsInWords = (disks: readonly DiskViews[]) =>
  disks
    .map(
      ({ disk, live, recorded, written }) =>
        `${disk}: libvirt shows ${live ?? 'no guest'}, its record ${recorded ?? 'none'}, ` +
        `QEMU writes ${written ?? 'nothing'}`,
    )
    .join('; ');
