/** A VM by its name: its state and its two XMLs. */
import { dirname } from 'node:path';
import { refused, vmGone } from '../../../workflows/operation/failures.ts';
import { canonical } from '../../adapters/files/files.ts';
import { nullIfNoDomain } from '../../adapters/virsh/connection.ts';
import type { DomainInfo } from '../../adapters/virsh/domains.ts';
import type { XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';
import { readDomain } from '../../adapters/virsh/pools.ts';
import type { HostDeps } from '../deps.ts';
import { holdLost, observeState, type ProvenInfo } from './lost-vm.ts';

export interface VmLook extends DomainInfo {
  name: string;
  uuid: string;
  /** Null while the VM is down. */
  live: XmlDomain | null;
  /** Null for a transient VM. */
  persistentDomain: XmlDomain | null;
}

type Vm = Pick<VmLook, 'name' | 'uuid'>;

/** @throws Refused `unknown-vm`; Hold `lost-vm` */
export async function observeVm(deps: HostDeps, name: string): Promise<VmLook> {
  const found = (await deps.libvirt.listVms()).find((vm) => vm.name === name);
  if (!found) throw unknownVm(deps, name);
  return lookAtVm(deps, found, `looking at VM ${name}`);
}

export const unknownVm = ({ host }: HostDeps, name: string) =>
  refused('unknown-vm', {
    attempted: `looking up VM ${name} on ${host}`,
    now: 'libvirt knows no VM of that name there',
    next: 'Names are those of `virsh list --all`',
  });

/**
 * One that a plan has named by its UUID.
 * @throws Hold `lost-vm`; Retry `vm-gone`: a VM that is not there is not one that is down
 */
export async function lookAtVm(deps: HostDeps, vm: Vm, attempted: string): Promise<VmLook> {
  const { lost, ...look } = await readVm(deps, vm);
  if (lost) throw holdLost(attempted, vm, lost, false);
  if (look.state === 'off' && !look.persistent) {
    throw vmGone(attempted, vm.name, 'the files of its disks stay as they are');
  }
  return look;
}

/** Its state and its two XMLs, also of a lost one. */
export async function readVm(
  deps: HostDeps,
  { uuid, name }: Vm,
): Promise<VmLook & Pick<ProvenInfo, 'lost'>> {
  const { libvirt } = deps;
  const [info, current, inactive] = await Promise.all([
    observeState(deps, uuid),
    libvirt.currentXml(uuid),
    libvirt.inactiveXml(uuid).catch(nullIfNoDomain),
  ]);
  const parse = async (xml: string | null, isThere: boolean) =>
    xml !== null && isThere ? readDomain(libvirt, xml) : null;
  return {
    ...info,
    name,
    uuid,
    live: await parse(current, info.state !== 'off'),
    // Of a transient domain libvirt gives the running one again.
    persistentDomain: await parse(inactive, info.persistent),
  };
}

/** Where the layers are that the VM's two XMLs name. */
export async function layerFolders(
  vm: Pick<VmLook, 'live' | 'persistentDomain'>,
): Promise<Set<string>> {
  const disks = [vm.live, vm.persistentDomain].flatMap((domain) => domain?.disks ?? []);
  const paths = disks.flatMap(({ chain }) => chain.map(({ path }) => path));
  return new Set(await Promise.all(paths.map(async (p) => dirname(await canonical(p)))));
}
