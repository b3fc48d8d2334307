/**
 * getVolumeChain: the chain of a disk in its four views, in one answer that says where they
 * disagree.
 */
import type { XmlDisk, XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';
import { observeFile } from '../../adapters/files/files.ts';
import { openByQemu, type OpenFile } from '../../adapters/files/open-files.ts';
import { observePools, poolOf, type Pool } from '../../adapters/virsh/pools.ts';
import type { ImageHeader } from '../../adapters/qemu-img/qemu-img.ts';
import { refused, vmGone } from '../../../workflows/operation/failures.ts';
import type { ChainObservation, Volume } from '../../../workflows/chain/schemas.ts';
import type { DiskRef } from '../../../workflows/chain/references.ts';
import type { HostDeps } from '../deps.ts';
import { awaitScriptOf } from '../pivot/telling.ts';
import { disagreements, formatDisagreements } from './disagreements.ts';
import { lostWords, type LostVm } from './lost-vm.ts';
import { readHeaderChain, unsupported, type LayerHeader } from './header-chain.ts';
import { resolveLinks } from './resolve-links.ts';
import { readRecord } from './read-record.ts';
import { readVm, unknownVm } from './observe-vm.ts';
import { shell } from '../../../workflows/operation/names.ts';

/** The observation plus what only the host needs to know. */
export interface Chain extends ChainObservation {
  /**
   * The disk as the running domain (or the persistent one, when it is down) describes it, links
   * resolved.
   */
  xmlDisk: XmlDisk;
  live: XmlDomain | null;
  persistentDomain: XmlDomain | null;
  managedSave: boolean;
  /** Whether the persistent XML has the disk. */
  isRecorded: boolean;
  /** Although libvirt calls it shut off: nothing may be done to its volumes. */
  lost: LostVm | null;
  pools: Pool[];
  openFiles: OpenFile[] | null;
  headers: Map<string, LayerHeader>;
}

/**
 * Observes live XML, persistent XML, headers on storage and what QEMU has open.
 * @param vmUuid of a plan: from then on the VM may be called otherwise
 * @throws Refused for an unknown VM or disk and for a disk that is no qcow2 or raw file; Retry
 * `vm-gone` without a VM of that UUID.
 */
export async function observeChain(deps: HostDeps, ref: DiskRef, vmUuid?: string): Promise<Chain> {
  const chain = await lookOnce(deps, ref, vmUuid);
  if (!chain.managedSave && chain.disagreements.length === 0) return chain;
  // A script of ours may be saving and starting the VM, perhaps for another disk: its QEMU opens
  // the volumes later than libvirt describes it.
  await awaitScriptOf(deps, { vm: chain.vm.name, vmUuid: chain.vm.uuid, disk: ref.disk });
  return lookOnce(deps, ref, vmUuid);
}

async function lookOnce(deps: HostDeps, ref: DiskRef, vmUuid?: string): Promise<Chain> {
  const domain = await observeDomain(deps, ref, vmUuid);
  const source = domain.live ?? domain.persistentDomain;
  const spelled = source?.disks.find((disk) => disk.target === ref.disk);
  const kept = domain.persistentDomain?.disks.find((d) => d.target === ref.disk);
  if (!source || !spelled) {
    throw unknownDisk(ref, source?.disks.map((d) => d.target) ?? [], kept !== undefined);
  }
  assertFileBacked(ref, spelled);
  const [xmlDisk, headers, pools, open] = await Promise.all([
    resolveLinks(spelled),
    readHeaderChain(ref, spelled, kept),
    observePools(deps.libvirt),
    domain.live || domain.lost ? openByQemu(source.uuid) : null,
  ]);
  const volumes = await Promise.all(
    [...headers].map(([path, header]) => toVolume(path, header, xmlDisk, pools)),
  );
  const persistentDisk = kept ? await resolveLinks(kept) : null;
  const paths = (disk: XmlDisk) => disk.chain.map((layer) => layer.path);
  const views = {
    live: domain.live && paths(xmlDisk),
    persistent: persistentDisk && paths(persistentDisk),
    headers: volumes.map((volume) => volume.path),
    open: open && openPaths(volumes, open),
  };
  const { persistent } = domain.identity.vm;
  const record = { persistent, terminated: persistentDisk?.terminated ?? false };
  const named = [
    { who: 'the running domain', disk: domain.live && xmlDisk },
    { who: 'the persistent XML', disk: persistentDisk },
  ];
  return {
    ...domain.identity,
    disk: ref.disk,
    host: deps.host,
    readOnly: xmlDisk.readOnly,
    transient: xmlDisk.transient,
    volumes,
    views,
    disagreements: [
      ...(domain.lost ? [lostWords(domain.identity.vm, domain.lost)] : []),
      ...disagreements(views, record, open, volumes),
      ...formatDisagreements(named, volumes),
    ],
    job: null,
    record: readRecord(source, ref.disk),
    xmlDisk,
    live: domain.live,
    persistentDomain: domain.persistentDomain,
    managedSave: domain.managedSave,
    isRecorded: persistentDisk !== null,
    lost: domain.lost,
    pools,
    openFiles: open,
    headers,
  };
}

/** The part of a chain that leaves the host, with the running job. */
export async function toObservation(deps: HostDeps, chain: Chain): Promise<ChainObservation> {
  const { vm, disk, host, readOnly, transient, volumes, views, disagreements: differ } = chain;
  const job = chain.live ? await deps.libvirt.blockJob(vm.uuid, disk) : null;
  return {
    vm,
    disk,
    host,
    readOnly,
    transient,
    volumes,
    views,
    disagreements: differ,
    job: job && { ...job, ready: chain.xmlDisk.mirror?.ready ?? false },
    record: chain.record,
  };
}

/** @throws Refused `unknown-vm`; Retry `vm-gone` without a VM of that UUID */
export async function observeDomain(deps: HostDeps, ref: Pick<DiskRef, 'vm'>, vmUuid?: string) {
  const { libvirt, host } = deps;
  const vms = await libvirt.listVms();
  const found = vms.find((vm) => (vmUuid ? vm.uuid === vmUuid : vm.name === ref.vm));
  if (!found) {
    if (!vmUuid) throw unknownVm(deps, ref.vm);
    throw vmGone(`looking up VM ${ref.vm} on ${host}`, ref.vm, 'no file was deleted');
  }
  const { name, uuid, state, stateReason, persistent, ...look } = await readVm(deps, found);
  return { identity: { vm: { name, uuid, state, stateReason, persistent } }, ...look };
}

export async function toVolume(
  path: string,
  header: ImageHeader,
  disk: XmlDisk,
  pools: Pool[],
): Promise<Volume> {
  const facts = await observeFile(path);
  if (!facts) throw new Error(`${path} disappeared while it was observed`);
  return {
    path,
    index: disk.chain.find((v) => v.path === path)?.index ?? null,
    format: header.format,
    identity: facts.identity,
    virtualSizeBytes: header.virtualSizeBytes,
    allocatedBytes: facts.allocatedBytes,
    pool: poolOf(pools, path)?.name ?? null,
    internalSnapshots: header.internalSnapshots.map(({ name }) => name),
  };
}

const openPaths = (volumes: Volume[], open: OpenFile[]) =>
  volumes.filter((v) => open.some((file) => file.identity === v.identity)).map((v) => v.path);

function unknownDisk({ vm, disk }: DiskRef, targets: string[], isKept: boolean) {
  const has = targets.length ? targets.join(', ') : 'no disks';
  return refused('unknown-disk', {
    attempted: `looking up disk ${disk} of ${vm}`,
    now: isKept
      ? `only its record has that disk, which is there when the VM starts again; now it has ${has}`
      : `the VM has ${has}`,
    next: isKept
      ? 'Shut the VM down and repeat the request, or detach the disk ' +
        `(${shell`virsh detach-disk ${vm} ${disk} --config`})`
      : `See ${shell`virsh domblklist ${vm}`}`,
  });
}

function assertFileBacked(ref: DiskRef, disk: XmlDisk): void {
  if (disk.device !== 'disk') throw unsupported(ref, disk.target, `it is a ${disk.device}`);
  const isFile = disk.type === 'file' || disk.type === 'volume';
  if (!isFile || disk.chain.length === 0) {
    const next =
      disk.type === 'volume'
        ? 'Start its pool (`virsh pool-list --all`); a pool of folders has the file of a volume'
        : undefined;
    throw unsupported(ref, disk.target, `its source is of type ${disk.type}, not file`, next);
  }
}
