import type { LiveMergeInput } from '../chain/schemas.ts';

/** The request in words, as one would type it; equal words are the same request. */
export function requestWords(input: LiveMergeInput): string {
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
