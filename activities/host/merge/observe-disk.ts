/**
 * The short look at one disk that every effect takes before and after itself: state, chain and job
 * by libvirt alone.
 */
import type { XmlDisk, XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';
import { nullIfNoDomain } from '../../adapters/virsh/connection.ts';
import { readDomain } from '../../adapters/virsh/pools.ts';
import { canonical } from '../../adapters/files/files.ts';
import type { DomainInfo } from '../../adapters/virsh/domains.ts';
import type { BlockJob, JobRecord } from '../../../workflows/chain/schemas.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import type { HostDeps } from '../deps.ts';
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

export async function lookAtDisk(deps: HostDeps, plan: MergePlan): Promise<DiskLook> {
  const { libvirt } = deps;
  const [info, live] = await Promise.all([
    libvirt.domainInfo(plan.vmUuid),
    libvirt.currentXml(plan.vmUuid).then((xml) => (xml === null ? null : readDomain(libvirt, xml))),
  ]);
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
