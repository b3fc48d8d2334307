/** Our jobs on the other disks of a VM, whose operations begin them again when they are lost. */
import { basename, dirname } from 'node:path';
import { operationId } from '../../../workflows/chain/references.ts';
import type { JobRecord } from '../../../workflows/chain/schemas.ts';
import { observeFile } from '../../adapters/files/files.ts';
import type { XmlDisk, XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';
import { readDomain } from '../../adapters/virsh/pools.ts';
import { reservedFiles } from '../../pool-folder/reservation.ts';
import type { HostDeps } from '../deps.ts';
import { readRecord } from '../chain/read-record.ts';
import { resolveLinks } from '../chain/resolve-links.ts';
import { abortQuietly } from './abort-quietly.ts';
import type { DiskSwitch } from './disk-switch.ts';
import { isEnding } from './look-at-disk.ts';
import { isCommitInto } from './our-commit.ts';
import { mayBeCopy } from './our-mirror.ts';

/** Ends them, one after the other, and none of a user. @returns how many */
export async function endOwnJobs(deps: HostDeps, change: DiskSwitch): Promise<number> {
  const { libvirt } = deps;
  const { vm, vmUuid, disk: own } = change;
  const xml = await libvirt.currentXml(vmUuid);
  const domain = xml === null ? null : await readDomain(libvirt, xml);
  let ended = 0;
  for (const found of domain?.disks ?? []) {
    const { target: disk } = found;
    if (disk === own || isEnding(found) || !(await isOurs(deps, vmUuid, domain, found))) continue;
    await deps.effect('libvirt.abort-job', operationId({ vm, disk }), () =>
      abortQuietly(deps, { vmUuid, disk }),
    );
    ended++;
  }
  return ended;
}

async function isOurs(
  { libvirt }: HostDeps,
  vmUuid: string,
  domain: XmlDomain | null,
  found: XmlDisk,
): Promise<boolean> {
  const { target } = found;
  const record: JobRecord | null = readRecord(domain, target);
  if (mayBeCopy(found.mirror) && (await isReserved(found.mirror.path))) return true;
  if (record === null) return false;
  const job = await libvirt.blockJob(vmUuid, target);
  return job !== null && isCommitInto(record.base, record.mode, await resolveLinks(found), job);
}

/** Whether the file that has this name was made for a job of ours: it has a reserved name, too. */
async function isReserved(path: string): Promise<boolean> {
  const [file, reserved] = await Promise.all([observeFile(path), reservedFiles(dirname(path))]);
  if (file === null) return false;
  for (const name of reserved) {
    if (basename(name) !== `${basename(path)}.ready`) continue;
    if ((await observeFile(name))?.identity === file.identity) return true;
  }
  return false;
}
