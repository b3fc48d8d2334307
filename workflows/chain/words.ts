/** How an image is named in words. Pure. */
import type { ImageRef } from './references.ts';

/** A guest can write any header into a raw image, but it does not choose the file's name. */
export function formatByName(volume: string): 'qcow2' | 'raw' | undefined {
  const [, end] = /[^/]\.(qcow2|raw|img)$/.exec(volume) ?? [];
  return end === 'img' ? 'raw' : (end as 'qcow2' | 'raw' | undefined);
}
/** The option that names a format which the file's name does not tell. */
export const sourceFormat = ({ volume, format }: { volume: string; format: string }) =>
  formatByName(volume) === format ? [] : [`--source-format ${format}`];
export const imageSource = (image: ImageRef) =>
  image.kind === 'volume' ? sourceFormat(image) : [];
