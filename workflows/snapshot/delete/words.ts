/** The deletion of a snapshot in words. Pure. */
import type { DiskState } from './kind.ts';
import type { DeleteSnapshotInput } from './request.ts';

/** The request as one would type it; equal words are the same request. */
export function deleteWords({ vm, name, scope }: DeleteSnapshotInput): string {
  return [`snapshot delete ${vm} ${name}`, ...(scope === 'snapshot' ? [] : [`--${scope}`])].join(
    ' ',
  );
}

/** `2 of 3 disks merged (vda, vdb); vdc failed: no space`. */
export function tallyWords(disks: readonly DiskState[]): string {
  const isOne = new Set(disks.map(({ snapshot }) => snapshot)).size === 1;
  const label = ({ snapshot, disk }: DiskState) => (isOne ? disk : `${disk} of ${snapshot}`);
  const merged = disks.filter(({ state }) => state === 'merged');
  const count = disks.length === 1 ? '1 disk' : `${disks.length} disks`;
  const names = merged.length === 0 ? '' : ` (${merged.map(label).join(', ')})`;
  const others = disks
    .filter(({ state }) => state !== 'merged')
    .map((disk) => `${label(disk)} ${disk.state}${disk.why === null ? '' : `: ${disk.why}`}`);
  return [`${merged.length} of ${count} merged${names}`, ...others].join('; ');
}
