/**
 * Whether a VM is down. libvirt 9.0 that died inside the end of a block job calls a VM shut off
 * whose QEMU lives (docs/lab/libvirt.md): a *lost VM*. So "shut off" is believed only when no QEMU
 * of that UUID is left. Nothing else asks libvirt for the state (test/house).
 */
import { hold } from '../../../workflows/operation/failures.ts';
import { findQemu, imagesWritten } from '../../adapters/files/open-files.ts';
import type { DomainInfo } from '../../adapters/virsh/domains.ts';
import { untilSettled } from '../../door/polling.ts';
import type { HostDeps } from '../deps.ts';
import { shell } from '../../../workflows/operation/names.ts';

export interface LostVm {
  /** libvirt's words, for example `shut off (unknown)`. */
  said: string;
  pid: number;
  /** Files that its QEMU has open for writing. */
  writes: string[];
}

interface Vm {
  name: string;
  uuid: string;
}

/** A domain's state, and the QEMU that lives although it is "off"; null but for a lost VM. */
export type ProvenInfo = DomainInfo & { lost: LostVm | null };

/** Looks before a QEMU that should be gone counts: a killed one may take a moment to end. */
const PATIENCE = 6;

/** Reads /proc, which costs some milliseconds, only when libvirt says "off". */
export async function observeState({ libvirt }: HostDeps, uuid: string): Promise<ProvenInfo> {
  const first = await libvirt.domainInfo(uuid);
  if (first.state !== 'off' || (await findQemu(uuid)) === null) return { ...first, lost: null };
  const { info, pid } = await untilSettled(PATIENCE, async () => {
    const now = await libvirt.domainInfo(uuid);
    const found = now.state === 'off' ? await findQemu(uuid) : null;
    const doubts = found === null ? [] : [`"${now.stateReason}", but process ${found} is its QEMU`];
    return { info: now, pid: found, doubts };
  });
  const lost =
    pid === null ? null : { said: info.stateReason, pid, writes: await imagesWritten(pid) };
  return { ...info, lost };
}

export function lostWords({ name }: Vm, { said, pid, writes }: LostVm): string {
  const files = writes.length === 0 ? '' : `, and has ${writes.join(', ')} open for writing`;
  return `libvirt says "${said}" of VM ${name}, but process ${pid} is its QEMU and lives${files}`;
}

/**
 * The Hold that nothing goes past: whatever is deleted, committed, switched or started now could be
 * what that QEMU writes.
 * @param isSuspended whether a pivot of ours has suspended its guest, so that its chains are equal
 */
export function holdLost(attempted: string, vm: Vm, lost: LostVm, isSuspended: boolean) {
  const guest = isSuspended
    ? 'its guest has been suspended since the pivot, so no flushed write is lost either way'
    : 'whether its guest runs is not known';
  const first = `see that ${shell`virsh domblklist ${vm.name} --inactive`} names what it writes, `;
  return hold('lost-vm', {
    attempted,
    now: `${lostWords(vm, lost)}; ${guest}; nothing was touched`,
    next:
      `Do not start the VM. Either give its guest up: ${isSuspended ? '' : first}` +
      `${shell`kill ${lost.pid}`}, wait until that process is gone, ` +
      `${shell`virsh start ${vm.name}`} ` +
      '(from its record, without its memory). Or bring it back as it is: see lost-vm in ' +
      'docs/guide/troubleshooting.md. Then repeat the request',
  });
}

/** @throws Hold `lost-vm` */
export async function provenState(deps: HostDeps, vm: Vm, attempted: string): Promise<DomainInfo> {
  const { lost, ...info } = await observeState(deps, vm.uuid);
  if (lost) throw holdLost(attempted, vm, lost, false);
  return info;
}
