/**
 * The requests on images in words, as one would type them; equal words are the same request. Pure.
 */
import type { CopyImageInput, ImageRef, MoveImageInput, RemoveImageInput } from './schemas.ts';
import { imageId } from './activities.ts';

/** A guest can write any header into a raw image, but it does not choose the file's name. */
export function formatByName(volume: string): 'qcow2' | 'raw' | undefined {
  const [, end] = /[^/]\.(qcow2|raw|img)$/.exec(volume) ?? [];
  return end === 'img' ? 'raw' : (end as 'qcow2' | 'raw' | undefined);
}
const unknownFormat = ({ volume, format }: { volume: string; format: string }) =>
  formatByName(volume) === format ? [] : [`--source-format ${format}`];
const source = (image: ImageRef) => (image.kind === 'volume' ? unknownFormat(image) : []);

/** Also of an input from before there was a choice, which names neither. */
const container = ({ format, preallocation }: { format: string; preallocation: string }) => [
  ...(['qcow2', 'raw'].includes(format) ? [`--format ${format}`] : []),
  ...(['metadata', 'falloc', 'full'].includes(preallocation)
    ? [`--preallocation ${preallocation}`]
    : []),
];
const verification = (input: { verify: 'full' | 'none' }) =>
  input.verify === 'full' ? [] : ['--verify none'];
const wiping = (input: { wipe: boolean }) => (input.wipe ? ['--wipe'] : []);

export const moveWords = (input: MoveImageInput) =>
  [
    `move ${imageId(input.image)} --to ${input.to}`,
    ...source(input.image),
    ...container(input),
    ...verification(input),
    ...wiping(input),
  ].join(' ');

export const copyWords = (input: CopyImageInput) =>
  [
    `copy ${imageId(input.image)} --to ${input.to}`,
    ...source(input.image),
    ...(input.name === undefined ? [] : [`--name ${input.name}`]),
    ...container(input),
    ...verification(input),
  ].join(' ');

export const removeWords = (input: RemoveImageInput) =>
  input.copies
    ? `delete what job ${input.copies.jobId} has copied to ${input.pool}/${input.volume}`
    : [`rm ${input.pool}/${input.volume}`, ...unknownFormat(input), ...wiping(input)].join(' ');
