/** Which disks of a VM are to move, and what their switch will cost. */
import { refused } from '../../../../workflows/operation/failures.ts';
import type { DisksFound } from '../../../../workflows/transfer/disks/plan.ts';
import type { MoveDisksInput } from '../../../../workflows/transfer/disks/request.ts';
import type { HostDeps } from '../../deps.ts';
import { observeVm } from '../../chain/observe-vm.ts';
import { stallOfEach } from '../../pivot/stalls.ts';
import { shell } from '../../../../workflows/operation/names.ts';

/**
 * By default all disks with a file that the guest may write; what a plan of each says is not looked
 * at here. @throws Refused `unknown-vm`, `unknown-disk`; Hold `lost-vm`
 */
export async function observeDisks(deps: HostDeps, input: MoveDisksInput): Promise<DisksFound> {
  const { vm, disks: named, sources } = input;
  const look = await observeVm(deps, vm);
  const all = (look.live ?? look.persistentDomain)?.disks ?? [];
  const attempted = `${sources === 'keep' ? 'copying' : 'moving'} disks of VM ${vm}`;
  const fail = (now: string) =>
    refused('unknown-disk', {
      attempted,
      now: `${now}; nothing was done`,
      next: `See ${shell`virsh domblklist ${vm}`}`,
    });
  const targets = all.map(({ target }) => target);
  const unknown = named?.find((disk) => !targets.includes(disk));
  if (unknown !== undefined) {
    throw fail(`the VM has ${targets.join(', ') || 'no disks'}, and no ${unknown}`);
  }
  const left = named
    ? []
    : all.flatMap(({ target: disk, device, type, chain }) => {
        if (device !== 'disk') return [{ disk, why: `it is a ${device}` }];
        return chain.length === 0 || type === 'block' ? [{ disk, why: 'it has no file' }] : [];
      });
  const stay = left.map(({ disk }) => disk);
  const disks = named ?? targets.filter((target) => !stay.includes(target));
  if (disks.length === 0) throw fail('the VM has no disk that could move');
  const stallMsOfEach = await stallOfEach(deps.stateDir);
  return { vm, vmUuid: look.uuid, state: look.state, disks, left, stallMsOfEach };
}
