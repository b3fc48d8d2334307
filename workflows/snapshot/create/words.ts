/** The creation of a snapshot in words, as one would type it; equal words are the same request. */
import { typed } from '../../operation/names.ts';
import type { CreateSnapshotInput } from './request.ts';

export function createWords(input: CreateSnapshotInput): string {
  const { vm, name, disks, exclude, quiesce, internal, description } = input;
  const each = (option: string, values: readonly string[]) =>
    [...values].sort().map((value) => `--${option} ${typed(value)}`);
  return [
    `snapshot create ${typed(vm)}`,
    ...(name === null ? [] : [typed(name)]),
    ...each('disk', disks),
    ...each('exclude', exclude),
    ...(quiesce === 'no' ? [] : [`--quiesce ${quiesce}`]),
    ...(internal ? ['--internal'] : []),
    ...(description === '' ? [] : [`--description ${typed(description)}`]),
  ].join(' ');
}
