/**
 * libvirt's lock manager and the safe pivot (D53): libvirt leases what a job leads to when the job
 * starts, keeps that lease while the guest is suspended, and refuses to resume the guest then.
 */
import type { GuestState } from '../../../workflows/chain/schemas.ts';
import { refused } from '../../../workflows/operation/failures.ts';
import { isLeased } from '../../adapters/virsh/safe-pivot.ts';
import { lockManagerOf, type LockManager } from '../../adapters/virsh/lock-manager.ts';
import { shell } from '../../../workflows/operation/names.ts';

interface Vm {
  name: string;
  uuid: string;
}

/** For what ends with a pivot of a VM that runs or is paused. @throws Refused `lock-manager` */
export async function assertResumable(attempted: string, vm: Vm): Promise<void> {
  const manager = await lockManagerOf(vm);
  if (manager) throw notResumable(attempted, vm, manager);
}

const notResumable = (attempted: string, vm: Vm, manager: LockManager) =>
  refused('lock-manager', {
    attempted,
    now: `${whatItDoes(manager)}; nothing was touched`,
    next: `Shut the VM down first (${shell`virsh shutdown ${vm.name}`}), then repeat the request`,
  });

/**
 * For a merge.
 * @returns what users should know, in words
 * @throws Refused `lock-manager` for one that pivots
 */
export async function observeLeases(
  attempted: string,
  vm: Vm & { state: GuestState },
  { pivots }: { pivots: boolean },
): Promise<string[]> {
  if (vm.state === 'off') return [];
  const manager = await lockManagerOf(vm);
  if (!manager) return [];
  if (pivots) throw notResumable(attempted, vm, manager);
  const whose = `libvirt's lock manager (${manager.name}) keeps its leases on what is written`;
  return [`${whose} until the VM is shut down: no other live job writes into these layers before`];
}

const whatItDoes = ({ name }: LockManager) =>
  `libvirt leases disks by its lock manager (${name}), and resumes no guest whose disk has ` +
  'switched to another layer while it was suspended or paused';

/**
 * libvirt 9.0 gives back no lease that it took for a job into a layer below others, or for one that
 * was ended.
 * @throws Refused `lock-manager` when that is why libvirt did not start a job
 */
export function assertUnleased(attempted: string, vm: string, said: string): void {
  if (!isLeased(said)) return;
  throw refused('lock-manager', {
    attempted,
    now: `libvirt said: ${said}; it still has a lease of an earlier job. The chain is unchanged`,
    next:
      `Shut the VM down (${shell`virsh shutdown ${vm}`}), with which its leases end, ` +
      'then repeat',
  });
}
