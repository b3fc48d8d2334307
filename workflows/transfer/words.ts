/**
 * Moves and copies in words, as one would type them; equal words are the same request. Pure.
 */
import { imageId } from '../chain/references.ts';
import { typed } from '../operation/names.ts';
import { imageSource } from '../chain/words.ts';
import type { CopyImageInput, MoveImageInput } from './request.ts';

const container = ({ format, preallocation }: MoveImageInput | CopyImageInput) => [
  ...(format === 'keep' ? [] : [`--format ${format}`]),
  ...(preallocation === 'off' ? [] : [`--preallocation ${preallocation}`]),
];
const verification = (input: { verify: 'full' | 'none' }) =>
  input.verify === 'full' ? [] : ['--verify none'];

export const moveWords = (input: MoveImageInput) =>
  [
    `move ${typed(imageId(input.image))} --to ${typed(input.to)}`,
    ...imageSource(input.image),
    ...container(input),
    ...verification(input),
    ...(input.wipe ? ['--wipe'] : []),
  ].join(' ');

export const copyWords = (input: CopyImageInput) =>
  [
    `copy ${typed(imageId(input.image))} --to ${typed(input.to)}`,
    ...imageSource(input.image),
    ...(input.name === undefined ? [] : [`--name ${typed(input.name)}`]),
    ...container(input),
    ...verification(input),
  ].join(' ');
