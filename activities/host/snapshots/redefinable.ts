/** Whether libvirt lets the records of snapshots follow an operation. */
import { refused } from '../../../workflows/operation/failures.ts';
import { inLine } from '../../../workflows/operation/words.ts';
import type { HostDeps } from '../deps.ts';

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
