/** The limit of a commit that runs. */
import type { InputOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost } from '../../../workflows/merge/activities.ts';
import type { BlockJob } from '../../../workflows/chain/schemas.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import { readDomain } from '../../adapters/virsh/pools.ts';
import type { JobReading } from '../../adapters/virsh/jobs.ts';
import { isCommitInto } from '../pivot/our-commit.ts';
import { observeState } from '../chain/lost-vm.ts';
import { readRecord } from '../chain/read-record.ts';
import type { HostDeps } from '../deps.ts';

/** Sets our running job's limit; null when it does not run (any more), or not even the VM. */
export async function ensureBandwidth(
  deps: HostDeps,
  input: InputOf<typeof mergeOnHost, 'ensureBandwidth'>,
): Promise<BlockJob | null> {
  const { vm, disk, bandwidthBytesPerSecond } = input;
  const uuid = await deps.libvirt.findVm(vm);
  if (uuid === null || (await observeState(deps, uuid)).state === 'off') return null;
  const job = await deps.libvirt.blockJob(uuid, disk);
  if (!job || !(await isAnnounced(deps, uuid, disk, job))) return null;
  if (job.bandwidthBytesPerSecond !== bandwidthBytesPerSecond) {
    await deps.effect('libvirt.set-job-bandwidth', operationId(input), () =>
      deps.libvirt.setJobBandwidth(uuid, disk, bandwidthBytesPerSecond),
    );
  }
  return { ...job, bandwidthBytesPerSecond, ready: false };
}

/** True when the job is the one that our record on this disk announces. */
async function isAnnounced({ libvirt }: HostDeps, uuid: string, disk: string, job: JobReading) {
  const xml = await libvirt.currentXml(uuid);
  const domain = xml === null ? null : await readDomain(libvirt, xml);
  const record = readRecord(domain, disk);
  const xmlDisk = domain?.disks.find(({ target }) => target === disk) ?? null;
  return record !== null && isCommitInto(record.base, record.mode, xmlDisk, job);
}
