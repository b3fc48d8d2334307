/** Whether libvirt lets the records of snapshots follow an operation. */
import { refused } from '../../../workflows/operation/failures.ts';
import { shell, SNAPSHOT_NAME } from '../../../workflows/operation/names.ts';
import { inLine, quoted } from '../../../workflows/operation/words.ts';
import type { HostDeps } from '../deps.ts';

/**
 * Others may have named a snapshot so that it fits into no line, as plans and commands have it.
 * @param snapshots names of those that the operation would change or go by
 * @throws Refused `has-snapshots`
 */
export function assertNamesFit(attempted: string, vm: string, snapshots: readonly string[]): void {
  const odd = snapshots.find((name) => !SNAPSHOT_NAME.test(name));
  if (odd === undefined) return;
  throw refused('has-snapshots', {
    attempted,
    now:
      `a snapshot of VM ${vm} that this would change has a control character in its name, ` +
      `${quoted(odd)}; nothing was done`,
    next:
      'Take it under another name, or forget it, which keeps its files ' +
      `(${shell`virsh snapshot-delete ${vm} --snapshotname ${odd} --metadata`}), ` +
      'and repeat the request',
  });
}

/**
 * libvirt refuses to redefine a snapshot while the VM has checkpoints ("cannot perform block
 * operations while checkpoint exists"), which would be met only after the point of no return.
 * @param snapshots names of those that must be redefined
 * @throws Refused `checkpoints`
 */
export async function assertRedefinable(
  { libvirt }: HostDeps,
  attempted: string,
  uuid: string,
  snapshots: readonly string[],
): Promise<void> {
  if (snapshots.length === 0) return;
  const checkpoints = await libvirt.checkpointNames(uuid);
  if (checkpoints.length === 0) return;
  const [these, those] = [checkpoints, snapshots].map((names) => inLine(names.join(', ')));
  throw refused('checkpoints', {
    attempted,
    now:
      `the VM has checkpoints (${these}), and libvirt changes no record of a snapshot ` +
      `(${those}) meanwhile; nothing was touched`,
    next:
      'Delete the checkpoints (`virsh checkpoint-delete`), or forget the snapshots ' +
      '(`virsh snapshot-delete --metadata`), and repeat the request',
  });
}
