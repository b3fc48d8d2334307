/** The creation of a snapshot in words, as one would type it; equal words are the same request. */
import type { CreateSnapshotInput } from './request.ts';

export function createWords(input: CreateSnapshotInput): string {
  const { vm, name, disks, exclude, quiesce, description } = input;
  const each = (option: string, values: readonly string[]) =>
    [...values].sort().map((value) => `--${option} ${value}`);
  return [
    `snapshot create ${vm}`,
    ...(name === null ? [] : [name]),
    ...each('disk', disks),
    ...each('exclude', exclude),
    ...(quiesce === 'no' ? [] : [`--quiesce ${quiesce}`]),
    ...(description === '' ? [] : [`--description '${description}'`]),
  ].join(' ');
}
