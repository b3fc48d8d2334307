/** Whether the commit on a disk is ours. */
import type { JobRecord, BlockJob } from '../../../workflows/chain/schemas.ts';
import { canonical } from '../../adapters/files/files.ts';
import type { XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';

/**
 * True when the disk's job is the commit of this mode into this base. A user may begin a job
 * when ours has ended, or has not begun; that one is never attached to, pivoted or ended. Of
 * an inner commit libvirt names no volumes, so there the kind of job has to do.
 */
export async function isCommitInto(
  base: string,
  mode: JobRecord['mode'],
  disk: XmlDisk | null,
  job: Pick<BlockJob, 'type'>,
): Promise<boolean> {
  const mirror = disk?.mirror;
  if (mode !== 'active') return mode === 'inner' && !mirror && job.type === 'Block Commit';
  // For a moment around its start and end a job has no mirror in the XML.
  if (!mirror) return job.type === 'Active Block Commit';
  const isCommit =
    mirror.job === 'active-commit' || (mirror.job === '' && job.type === 'Active Block Commit');
  return isCommit && (await canonical(mirror.path)) === base;
}
