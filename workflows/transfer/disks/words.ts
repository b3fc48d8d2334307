/** Moves and copies of several disks in words. Pure. */
import { typed } from '../../operation/names.ts';
import type { DiskState } from './kind.ts';
import { copyOptions, moveOptions } from '../words.ts';
import type { MoveDisksInput } from './request.ts';

/** The request as one would type it; equal words are the same request. */
export function disksWords(input: MoveDisksInput): string {
  const { vm, disks, to, sources } = input;
  return [
    `${sources === 'keep' ? 'copy' : 'move'} ${[vm, ...(disks ?? [])].map(typed).join(' ')}`,
    `--to ${typed(to)}`,
    ...copyOptions(input),
    ...moveOptions(input),
  ].join(' ');
}

/** Of a disk that is where it was to be. */
export const isDone = ({ state }: DiskState) => state === 'moved' || state === 'copied';
/** Of one whose own operation has ended. */
export const hasEnded = ({ state }: DiskState) => !['waiting', 'copying', 'ready'].includes(state);

/** `2 of 3 disks moved (vda, vdb); vdc failed: no space`. */
export function tallyWords(disks: readonly DiskState[], isCopy: boolean) {
  const done = disks.filter(isDone);
  const names = done.length === 0 ? '' : ` (${done.map(({ disk }) => disk).join(', ')})`;
  const count = disks.length === 1 ? '1 disk' : `${disks.length} disks`;
  const others = disks
    .filter((disk) => !isDone(disk))
    .map(({ disk, state, why }) => `${disk} ${state}${why === null ? '' : `: ${why}`}`);
  const verb = isCopy ? 'copied' : 'moved';
  return [`${done.length} of ${count} ${verb}${names}`, ...others].join('; ');
}
