/** What the copies of an image's volumes are called. */
import { basename } from 'node:path';
import { formatByName } from '../../../../workflows/chain/words.ts';

interface Naming {
  /** Base-most first. */
  volumes: readonly { path: string; format: string }[];
  /** Of the active layer's copy; without it, names stay. */
  given: string | undefined;
  /** Of an image that is converted to another format, else null. */
  newFormat: string | null;
}

/**
 * A given NAME that ends in `.qcow2`, `.raw` or `.img` is the active layer's exactly; any other
 * gets `.FORMAT`. The layers below are STEM.1.FORMAT, STEM.2.FORMAT, ... from the base up, where
 * STEM is NAME without such an ending. Without a NAME, only a name whose format changes does:
 * disk.qcow2 becomes disk.raw.
 */
export function copyNames({ volumes, given, newFormat }: Naming): string[] {
  return volumes.map(({ path, format: before }, at) => {
    const format = newFormat ?? before;
    const own = basename(path);
    if (given === undefined) return newFormat === null ? own : `${stemOf(own)}.${format}`;
    const isActive = at === volumes.length - 1;
    if (!isActive) return `${stemOf(given)}.${at + 1}.${format}`;
    return stemOf(given) === given ? `${given}.${format}` : given;
  });
}

/** Other ends of a name say something else: a snapshot of libvirt calls its file `VM.SNAPSHOT`. */
const stemOf = (name: string) =>
  formatByName(name) === undefined ? name : name.slice(0, name.lastIndexOf('.'));
