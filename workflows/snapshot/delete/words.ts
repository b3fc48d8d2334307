/** The deletion of a snapshot in words. Pure. */
import { typed } from '../../operation/names.ts';
import type { DiskState } from './kind.ts';
import type { DeleteSnapshotInput } from './request.ts';

/** The request as one would type it; equal words are the same request. */
export function deleteWords({ vm, name, scope, only }: DeleteSnapshotInput): string {
  return [
    `snapshot delete ${typed(vm)} ${typed(name)}`,
    ...(scope === 'snapshot' ? [] : [`--${scope}`]),
    ...(only === null ? [] : [handleWords(only)]),
  ].join(' ');
}

/** `--disk vda --format qcow2 --id 3` */
const handleWords = ({ disk, handle }: NonNullable<DeleteSnapshotInput['only']>) =>
  `--disk ${disk} --format ${handle.format} --id ${typed(handle.id)}`;

/**
 * `2 of 3 disks merged (vda, vdb); vdc failed: no space`; of a snapshot inside of images `deleted
 * from 2 of 3 disks (vda, vdb); ...`.
 */
export function tallyWords(disks: readonly DiskState[], isInside = false): string {
  const isOne = new Set(disks.map(({ snapshot }) => snapshot)).size === 1;
  const label = ({ snapshot, disk }: DiskState) => (isOne ? disk : `${disk} of ${snapshot}`);
  const done = disks.filter(({ state }) => isDone(state));
  const count = disks.length === 1 ? '1 disk' : `${disks.length} disks`;
  const names = done.length === 0 ? '' : ` (${done.map(label).join(', ')})`;
  const others = disks
    .filter(({ state }) => !isDone(state))
    .map((disk) => `${label(disk)} ${disk.state}${disk.why === null ? '' : `: ${disk.why}`}`);
  const tally = `${done.length} of ${count}`;
  const first = isInside ? `deleted from ${tally}${names}` : `${tally} merged${names}`;
  return [first, ...others].join('; ');
}

/** Of a disk that has nothing left of the snapshot. */
export const isDone = (state: DiskState['state']) => state === 'merged' || state === 'deleted';
