/**
 * The short look at one disk that every effect takes before and after itself: state, chain and job
 * by libvirt alone.
 */
import type { XmlDisk, XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';
import { nullIfNoDomain } from '../../adapters/virsh/connection.ts';
import { pivotResultFile, readPivotReport } from '../../adapters/virsh/safe-pivot.ts';
import { readDomain } from '../../adapters/virsh/pools.ts';
import { canonical } from '../../adapters/files/files.ts';
import type { DomainInfo } from '../../adapters/virsh/domains.ts';
import type { BlockJob, JobRecord } from '../../../workflows/chain/schemas.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import type { HostDeps } from '../deps.ts';
import { holdLost, observeState } from '../chain/lost-vm.ts';
import { readRecord } from '../chain/read-record.ts';
import { resolveLinks } from '../chain/resolve-links.ts';

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

/** @throws Hold `lost-vm` */
export async function lookAtDisk(deps: HostDeps, plan: MergePlan): Promise<DiskLook> {
  const { libvirt } = deps;
  const [{ lost, ...info }, live] = await Promise.all([
    observeState(deps, plan.vmUuid),
    libvirt.currentXml(plan.vmUuid).then((xml) => (xml === null ? null : readDomain(libvirt, xml))),
  ]);
  if (lost) throw holdLost(attempt(plan), vmOf(plan), lost, await isLeftSuspended(deps, plan));
  // Between READY and the pivot every question counts.
  const isAsked = plan.persistent && info.state !== 'running';
  const persistent = isAsked
    ? await libvirt.inactiveXml(plan.vmUuid).then((xml) => readDomain(libvirt, xml), nullIfNoDomain)
    : null;
  const domain = info.state === 'off' && persistent ? persistent : live;
  const diskOf = async (d: XmlDomain | null) => {
    const disk = d?.disks.find(({ target }) => target === plan.disk);
    return disk ? resolveLinks(disk) : null;
  };
  return {
    ...info,
    disk: await diskOf(domain),
    persistentSource: (await diskOf(persistent))?.chain.at(-1)?.path ?? null,
    record: readRecord(domain, plan.disk),
  };
}

export const vmOf = ({ vm: name, vmUuid: uuid }: MergePlan) => ({ name, uuid });
export const attempt = ({ vm, disk, top, base }: MergePlan) =>
  `merging ${top.path} into ${base.path} of ${operationId({ vm, disk })}`;

/** Where a pivot reports. */
export const pivotFile = ({ runtimeDir }: HostDeps, ref: { vmUuid: string; disk: string }) =>
  pivotResultFile(runtimeDir, ref);

/** Whether the script of our last pivot has left the guest suspended. */
export async function isLeftSuspended(deps: HostDeps, ref: { vmUuid: string; disk: string }) {
  const report = await readPivotReport(pivotFile(deps, ref));
  return report?.guest === 'running' && !report.resumed;
}

/**
 * True when the disk's job is the commit of this mode into this base. A user may begin a job
 * when ours has ended, or has not begun; that one is never attached to, pivoted or ended. Of
 * an inner commit libvirt names no volumes, so there the kind of job has to do.
 */
export async function isCommitInto(
  base: string,
  mode: MergePlan['mode'],
  disk: XmlDisk | null,
  job: Pick<BlockJob, 'type'>,
): Promise<boolean> {
  const mirror = disk?.mirror;
  if (mode !== 'active') return mode === 'inner' && !mirror && job.type === 'Block Commit';
  // For a moment around its start and end a job has no mirror in the XML.
  if (!mirror) return job.type === 'Active Block Commit';
  return mirror.job === 'active-commit' && (await canonical(mirror.path)) === base;
}

/** The same for a plan; `job` is what the look found to run. */
export const isCommitOf = (plan: MergePlan, look: DiskLook, job: Pick<BlockJob, 'type'>) =>
  isCommitInto(plan.base.path, plan.mode, look.disk, job);

/**
 * True when base has what top has: a commit into our base is READY. A mirror to somewhere else is
 * a user's copy, and a pivot would make that the VM's disk.
 */
export async function isReady(look: DiskLook, plan: MergePlan): Promise<boolean> {
  const mirror = look.disk?.mirror;
  return mirror?.ready === true && (await isCommitOf(plan, look, { type: mirror.job }));
}

/**
 * True when top has left the chain that the VM uses or will use: the merge is done but for the
 * deletion.
 */
export function topHasLeft(look: DiskLook, plan: MergePlan): boolean {
  if (!look.disk) return false;
  const chain = look.disk.chain.map((volume) => volume.path);
  return !chain.includes(plan.top.path) && chain.includes(plan.base.path);
}
