/** The short look at all disks of a snapshot, and what it means. */
import { dirname } from 'node:path';
import type { Taking } from '../../../workflows/snapshot/create/activities.ts';
import type { NamedVolume } from '../../../workflows/chain/references.ts';
import { unlessSilent } from '../../adapters/process/asking.ts';
import { CommandError } from '../../adapters/process/command.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { openByQemu, type OpenFile } from '../../adapters/files/open-files.ts';
import type { XmlDisk, XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';
import { readHeaderChain } from '../chain/header-chain.ts';
import { lookAtVm, type VmLook } from '../chain/observe-vm.ts';
import { identityIn } from '../../pool-folder/id.ts';
import type { HostDeps } from '../deps.ts';

/**
 * Which of a disk's two layers something names, or writes. `another`: the one file that all views
 * of the disk name, which does not stand on the overlay; `other`: none of these.
 */
export type Layer = 'base' | 'overlay' | 'another' | 'other';

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
  const open = vm.state === 'off' ? null : await openByQemu(plan.vmUuid);
  const disks = plan.disks.map(async ({ disk, base }): Promise<DiskViews> => {
    const ours = overlays.find((overlay) => overlay.disk === disk)?.volume;
    const ids = { base: await identityHere(base), overlay: ours ? await identityHere(ours) : null };
    const named = async (domain: XmlDomain | null) => domain && (await activeIn(domain, disk, ids));
    const [live, recorded] = [await named(vm.live), await named(vm.persistentDomain)];
    const written = open && writtenOf(open, ids, live);
    const views = [live, recorded, written].filter((view) => view !== null);
    const isOneFile = new Set(views.map(({ identity }) => identity)).size === 1;
    const layerOf = (view: Active | null) =>
      view && (view.layer === 'another' && !isOneFile ? 'other' : view.layer);
    return {
      disk,
      live: layerOf(live),
      recorded: layerOf(recorded),
      written: layerOf(written),
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

/** What a view names; `another` so far by this view alone. */
interface Active {
  /** Null when there is none, or no such file. */
  identity: string | null;
  layer: Layer;
}

/** Later snapshots may stand on the overlay: then it is in the chain all the same. */
async function activeIn(domain: XmlDomain, target: string, ids: Identities): Promise<Active> {
  const disk = domain.disks.find((one) => one.target === target);
  const active = disk?.chain.at(-1)?.path;
  const identity = active === undefined ? null : ((await observeFile(active))?.identity ?? null);
  if (!disk || identity === null) return { identity, layer: 'other' };
  if (identity === ids.base) return { identity, layer: 'base' };
  if (identity === ids.overlay) return { identity, layer: 'overlay' };
  return { identity, layer: await layerBy(domain, disk, ids) };
}

/** By the headers below. */
async function layerBy(domain: XmlDomain, disk: XmlDisk, { overlay }: Identities): Promise<Layer> {
  const ref = { vm: domain.name, disk: disk.target, host: '' };
  const chain = await readHeaderChain(ref, disk).catch(unlessSilent(null));
  if (chain === null) return 'other';
  const files = await Promise.all([...chain.keys()].map((path) => observeFile(path)));
  const standsOnIt = files.some((file) => file !== null && file.identity === overlay);
  return standsOnIt ? 'overlay' : 'another';
}

/** Of a base that is below an overlay QEMU has given up the right to write. */
function writtenOf(open: readonly OpenFile[], ids: Identities, live: Active | null): Active {
  const known: Active[] = [
    { identity: ids.base, layer: 'base' },
    { identity: ids.overlay, layer: 'overlay' },
    ...(live ? [live] : []),
  ];
  const isWritten = ({ identity }: Active) =>
    open.some((file) => file.writable && file.identity === identity);
  return known.find(isWritten) ?? { identity: null, layer: 'other' };
}

/**
 * `taken`: all views name the overlays. `unrecorded`: but for the record. `unseen`: QEMU has
 * switched, and libvirt does not know it (H3). `not-taken`: all views name the bases, or what
 * another program has put in their place. `divergent`: they differ, or cannot be told.
 */
export type Verdict = 'taken' | 'unrecorded' | 'unseen' | 'not-taken' | 'divergent';

/** Pure: every combination is tested. All disks of a snapshot are in one transaction of QEMU. */
export function verdictOf(disks: readonly DiskViews[]): Verdict {
  const all = (view: 'live' | 'recorded' | 'written', layer: Layer | null) =>
    disks.every((disk) => disk[view] === layer);
  const isDown = all('live', null);
  if (isDown) {
    if (all('recorded', 'overlay')) return 'taken';
    return disks.every(({ recorded }) => isWithout(recorded)) ? 'not-taken' : 'divergent';
  }
  const isTransient = all('recorded', null);
  if (all('live', 'overlay')) {
    if (isTransient || all('recorded', 'overlay')) return 'taken';
    const isOurs = ({ recorded }: DiskViews) => recorded === 'base' || recorded === 'overlay';
    return disks.every(isOurs) ? 'unrecorded' : 'divergent';
  }
  const isStill = (layer: Layer | null, { live }: DiskViews) => layer === null || layer === live;
  const isRecorded = disks.every((disk) => isWithout(disk.live) && isStill(disk.recorded, disk));
  if (!isRecorded) return 'divergent';
  if (all('live', 'base') && all('written', 'overlay')) return 'unseen';
  return disks.every((disk) => isStill(disk.written, disk)) ? 'not-taken' : 'divergent';
}

/** Whether the disk is as if the snapshot had never been begun. */
const isWithout = (layer: Layer | null) => layer === 'base' || layer === 'another';

/** The disks where another program has put other layers in the place of those of the plan. */
export const overtakenIn = (disks: readonly DiskViews[]): string[] =>
  disks.flatMap(({ disk, live, recorded }) => ((live ?? recorded) === 'another' ? [disk] : []));

/** In words, for messages. */
export const viewsInWords = (disks: readonly DiskViews[]) =>
  disks
    .map(
      ({ disk, live, recorded, written }) =>
        `${disk}: libvirt shows ${live ?? 'no guest'}, its record ${recorded ?? 'none'}, ` +
        `QEMU writes ${written ?? 'nothing'}`,
    )
    .join('; ');
