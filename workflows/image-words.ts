/**
 * The requests on images in words, as one would type them; equal words are the same request. Pure.
 */
import type { CopyImageInput, MoveImageInput, RemoveImageInput } from './image-schemas.ts';
import { imageId } from './move-contract.ts';

const verification = (input: { verify: 'full' | 'none' }) =>
  input.verify === 'full' ? [] : ['--verify none'];
const wiping = (input: { wipe: boolean }) => (input.wipe ? ['--wipe'] : []);

export const moveWords = (input: MoveImageInput) =>
  [`move ${imageId(input.image)} --to ${input.to}`, ...verification(input), ...wiping(input)].join(
    ' ',
  );

export const copyWords = (input: CopyImageInput) =>
  [
    `copy ${imageId(input.image)} --to ${input.to}`,
    ...(input.name === undefined ? [] : [`--name ${input.name}`]),
    ...verification(input),
  ].join(' ');

export const removeWords = (input: RemoveImageInput) =>
  [`rm ${input.pool}/${input.volume}`, ...wiping(input)].join(' ');
