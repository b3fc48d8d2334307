/**
 * Moves and copies in words, as one would type them; equal words are the same request. Pure.
 */
import { imageId } from '../chain/references.ts';
import { typed } from '../operation/names.ts';
import { imageSource } from '../chain/words.ts';
import { convergenceWords } from '../operation/steering/convergence-input.ts';
import type { CopyImageInput, MoveImageInput } from './request.ts';

type Container = Pick<CopyImageInput, 'format' | 'preallocation' | 'flatten' | 'verify'>;

/** How the copies are made. */
export const copyOptions = ({ format, preallocation, flatten, verify }: Container) => [
  ...(flatten ? ['--flatten'] : []),
  ...(format === 'keep' ? [] : [`--format ${format}`]),
  ...(preallocation === 'off' ? [] : [`--preallocation ${preallocation}`]),
  ...(verify === 'full' ? [] : ['--verify none']),
];

type Live = Pick<
  MoveImageInput,
  'wipe' | 'waitForDecision' | 'synchronousWrites' | 'converge' | 'maxPauseMs' | 'onVmStop'
>;

/** How a VM that runs leaves its source. */
export const moveOptions = (input: Live) => [
  ...(input.wipe ? ['--wipe'] : []),
  ...(input.waitForDecision ? ['--wait-for-decision'] : []),
  ...(input.synchronousWrites ? ['--synchronous-writes'] : []),
  ...convergenceWords(input),
  ...(input.onVmStop === 'fail' ? [] : [`--on-vm-stop ${input.onVmStop}`]),
];

export const moveWords = (input: MoveImageInput) =>
  [
    `${input.keepsSource ? 'copy' : 'move'} ${typed(imageId(input.image))} --to ${typed(input.to)}`,
    ...imageSource(input.image),
    ...copyOptions(input),
    ...moveOptions(input),
  ].join(' ');

export const copyWords = (input: CopyImageInput) =>
  [
    `copy ${typed(imageId(input.image))} --to ${typed(input.to)}`,
    ...imageSource(input.image),
    ...(input.name === undefined ? [] : [`--name ${typed(input.name)}`]),
    ...copyOptions(input),
  ].join(' ');
