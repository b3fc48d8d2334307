/** The mirror of an active layer: what it leads from and to, and whether it is ours. */
import { dirname } from 'node:path';
import { operationId } from '../../../../workflows/chain/references.ts';
import type { ImageJob } from '../../../../workflows/transfer/activities.ts';
import type { ImageVolume } from '../../../../workflows/transfer/plan.ts';
import { bug, hold } from '../../../../workflows/operation/failures.ts';
import { observeFile, syncPath } from '../../../adapters/files/files.ts';
import { openByQemu } from '../../../adapters/files/open-files.ts';
import type { XmlDisk } from '../../../adapters/libvirt-xml/domain-xml.ts';
import { readPivotReport, removePivotReport } from '../../../adapters/virsh/safe-pivot.ts';
import { identityIn } from '../../../pool-folder/id.ts';
import { stagedFile } from '../../../pool-folder/reservation.ts';
import type { HostDeps } from '../../deps.ts';
import type { DiskSwitch } from '../../pivot/disk-switch.ts';
import { pivotFile } from '../../pivot/look-at-disk.ts';
import { formatOf } from '../../../../workflows/transfer/copied.ts';
import { copyPath, nameIn } from '../copies.ts';

/** The place of the active layer's copy in the target pool, by how far it is. */
export const topFile = ({ plan, jobId }: ImageJob, stage: 'part' | 'ready') =>
  stagedFile(plan.to.folder, jobId, topOf({ plan }).name, stage);

export const topOf = ({ plan }: Pick<ImageJob, 'plan'>) => plan.volumes.at(-1) as ImageVolume;

/** The file of the mirror is known by its inode, which the reservation holds. */
export async function switchOf(job: ImageJob): Promise<DiskSwitch> {
  const { plan } = job;
  const { vm, to } = plan;
  if (!vm) throw bug('an image without a VM was to be mirrored');
  const top = topOf(job);
  const [source, copy] = await Promise.all([
    identityIn(dirname(top.path), top),
    observeFile(topFile(job, 'ready')),
  ]);
  return {
    attempted: `moving ${operationId({ vm: vm.name, disk: vm.disk })} to pool ${to.pool}`,
    vm: vm.name,
    vmUuid: vm.uuid,
    disk: vm.disk,
    persistent: true,
    job: 'copy',
    from: { path: top.path, identity: source ?? '' },
    to: { path: copyPath(plan, top), format: formatOf(top), identity: copy?.identity ?? '' },
    nameOf: nameIn(plan),
  };
}

/**
 * Whether the mirror of this job was ended at READY, and its copy is complete.
 * @throws Hold as `assertFlushed` says
 */
export async function isKept(
  deps: HostDeps,
  change: DiskSwitch,
  { jobId }: ImageJob,
): Promise<boolean> {
  if ((await readPivotReport(pivotFile(deps, change)))?.kept !== jobId) return false;
  await assertFlushed(deps, change);
  return true;
}

/**
 * QEMU has flushed the copy that is kept, unless the cache of the disk forbids that. A kernel that
 * could not write tells it once: without its report nothing takes the copy for complete later.
 * @throws Hold `unproven`
 */
export async function assertFlushed(deps: HostDeps, change: DiskSwitch): Promise<void> {
  const { attempted, to } = change;
  try {
    await syncPath(to.path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EIO') throw error;
    await removePivotReport(pivotFile(deps, change));
    throw hold('unproven', {
      attempted,
      now: `${to.path} could not be flushed (Input/output error); the VM runs on with its source`,
      next: "Look at that disk and the host's kernel log, then repeat the request",
    });
  }
}

/** What the VM runs on, where a user has changed the disk since the plan; null for the source. */
export async function otherSource({ from }: DiskSwitch, disk: XmlDisk | null) {
  const active = disk?.chain.at(-1)?.path ?? '';
  const file = active === '' ? null : await observeFile(active);
  return active === from.path && file?.identity === from.identity ? null : active;
}

/** Whether QEMU mirrors into the file that has this name now; true where that cannot be seen. */
export async function isOpenForMirror({ vmUuid, to }: DiskSwitch): Promise<boolean> {
  const files = (await openByQemu(vmUuid, new Set([to.identity]))) ?? [];
  return files.length === 0 || files.some((file) => file.writable && file.identity === to.identity);
}
