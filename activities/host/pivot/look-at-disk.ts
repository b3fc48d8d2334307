/**
 * The short look at one disk that every effect takes before and after itself: state, chain and job
 * by libvirt alone.
 */
import type { XmlDisk, XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';
import { nullIfNoDomain } from '../../adapters/virsh/connection.ts';
import {
  awaitPivotScript,
  pivotResultFile,
  readPivotReport,
} from '../../adapters/virsh/safe-pivot.ts';
import { readDomain } from '../../adapters/virsh/pools.ts';
import type { DomainInfo } from '../../adapters/virsh/domains.ts';
import type { JobRecord } from '../../../workflows/chain/schemas.ts';
import type { HostDeps } from '../deps.ts';
import { holdLost, observeState } from '../chain/lost-vm.ts';
import { readRecord } from '../chain/read-record.ts';
import { resolveLinks } from '../chain/resolve-links.ts';
import { vmOf, type DiskSwitch } from './disk-switch.ts';

export interface DiskLook extends DomainInfo {
  /**
   * As the running domain describes it, or the persistent one when it is down; null when it is
   * gone.
   */
  disk: XmlDisk | null;
  /** Active source that the persistent XML names; null while the VM runs, and without one. */
  persistentSource: string | null;
  record: JobRecord | null;
}

/**
 * A VM is down only while no script of ours saves and starts it, perhaps for another disk.
 * @throws Hold `lost-vm`
 */
export async function lookAtDisk(deps: HostDeps, change: DiskSwitch): Promise<DiskLook> {
  const look = await lookOnce(deps, change);
  if (look.state !== 'off') return look;
  await awaitPivotScript(pivotFile(deps, change));
  return lookOnce(deps, change);
}

async function lookOnce(deps: HostDeps, change: DiskSwitch): Promise<DiskLook> {
  const { libvirt } = deps;
  const { vmUuid, disk: target, attempted } = change;
  const [{ lost, ...info }, live] = await Promise.all([
    observeState(deps, vmUuid),
    libvirt.currentXml(vmUuid).then((xml) => (xml === null ? null : readDomain(libvirt, xml))),
  ]);
  if (lost) throw holdLost(attempted, vmOf(change), lost, await isLeftSuspended(deps, change));
  // Between READY and the pivot every question counts.
  const isAsked = change.persistent && info.state !== 'running';
  const persistent = isAsked
    ? await libvirt.inactiveXml(vmUuid).then((xml) => readDomain(libvirt, xml), nullIfNoDomain)
    : null;
  const domain = info.state === 'off' && persistent ? persistent : live;
  const diskOf = async (d: XmlDomain | null) => {
    const disk = d?.disks.find((one) => one.target === target);
    return disk ? resolveLinks(disk) : null;
  };
  return {
    ...info,
    disk: await diskOf(domain),
    persistentSource: (await diskOf(persistent))?.chain.at(-1)?.path ?? null,
    record: readRecord(domain, target),
  };
}

export const isEnding = (disk: XmlDisk | null) => (disk?.mirror?.ending ?? null) !== null;

/** Where a pivot reports. */
export const pivotFile = ({ runtimeDir }: HostDeps, ref: { vmUuid: string; disk: string }) =>
  pivotResultFile(runtimeDir, ref);

/** Whether the script of our last pivot has left the guest suspended. */
export async function isLeftSuspended(deps: HostDeps, ref: { vmUuid: string; disk: string }) {
  const report = await readPivotReport(pivotFile(deps, ref));
  return report?.guest === 'running' && !report.resumed;
}

/**
 * True when the disk has left its old layer in the chain that the VM uses or will use: the switch
 * is done.
 */
export function hasSwitched({ disk }: DiskLook, { from, to }: DiskSwitch): boolean {
  if (!disk) return false;
  const chain = disk.chain.map((volume) => volume.path);
  return !chain.includes(from.path) && chain.includes(to.path);
}
