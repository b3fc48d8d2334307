/** A merge in words. Pure. */
import { typed, shell } from '../operation/names.ts';
import { fileName, volumeCount } from '../operation/words.ts';
import type { MergePlan } from './plan.ts';
import type { LiveMergeInput } from './request.ts';

type Asked = Pick<LiveMergeInput, 'vm' | 'disk' | 'top' | 'base' | 'snapshot'> & Flags;
type Flags = Pick<LiveMergeInput, 'shallow' | 'keepOverlay' | 'keepVolumes' | 'keepRelative'>;

/** The request in words, as one would type it; equal words are the same request. */
export function mergeWords(input: Asked): string {
  const option = (name: string, value: string | undefined) =>
    value ? [`--${name} ${typed(value)}`] : [];
  const flag = (name: string, on: boolean) => (on ? [`--${name}`] : []);
  return [
    `merge ${typed(input.vm)} ${typed(input.disk)}`,
    ...option('top', input.top),
    ...option('base', input.base),
    ...option('snapshot', input.snapshot),
    ...flag('shallow', input.shallow),
    ...flag('keep-overlay', input.keepOverlay),
    ...flag('keep-volumes', input.keepVolumes),
    ...flag('keep-relative', input.keepRelative),
  ].join(' ');
}

/** What the activity that starts a commit does. */
export function commitWords({ committed, base }: Pick<MergePlan, 'committed' | 'base'>): string {
  const commit = `commit ${volumeCount(committed.length)} into ${fileName(base.path)}`;
  return `record the job in the domain, ${commit}`;
}

const deletion = (vm: string, snapshot: string) =>
  shell`blockflow snapshot delete ${vm} ${snapshot}`;

/** Told by a merge of layers that the undo of a revert needs as they are. */
export const undoEndsWords = (vm: string, disk: string) =>
  `what the last revert of ${vm} has discarded stands on layers of ${disk} that this merge ` +
  `changes: ${shell`blockflow snapshot revert ${vm} --undo`} is not possible after it`;

/** What the two below tell is no news to a deletion of the whole snapshot. */
export const isOfWholeSnapshot = (warning: string, snapshot: string) =>
  warning.startsWith(`snapshot ${snapshot} has other disks too, `) ||
  warning.startsWith(`the guest's memory of snapshot ${snapshot} stays in `);

/** Told by a merge of one disk of a snapshot that has others. */
export const otherDisksWords = (vm: string, snapshot: string, others: readonly string[]) =>
  `snapshot ${snapshot} has other disks too, which stay as they are: ${others.join(', ')}; ` +
  `${deletion(vm, snapshot)} deletes it on all of them`;

/** Told by a merge of a disk of a snapshot whose memory is in a file. */
export const memoryWords = (vm: string, snapshot: string, file: string) =>
  `the guest's memory of snapshot ${snapshot} stays in ${file}; ` +
  `${deletion(vm, snapshot)} deletes it`;
