/** A merge in words. Pure. */
import { fileName, volumeCount } from '../operation/words.ts';
import type { MergePlan } from './plan.ts';
import type { LiveMergeInput } from './request.ts';

/** The request in words, as one would type it; equal words are the same request. */
export function mergeWords(input: LiveMergeInput): string {
  const option = (name: string, value: string | undefined) => (value ? [`--${name} ${value}`] : []);
  const flag = (name: string, on: boolean) => (on ? [`--${name}`] : []);
  return [
    `merge ${input.vm} ${input.disk}`,
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
