/**
 * The copy of what a guest reads in one volume into a new container: its empty target, and the
 * nodes through which the job's daemon reads the one and writes the other. Formats are given, and
 * nothing is opened below the volume but what is named, whatever a guest wrote into it.
 */
import { askCopier } from './daemon.ts';

/** How a file is read or written. */
export interface Way {
  aio: string;
  direct: boolean;
}

type Format = 'qcow2' | 'raw';

/** An image that is to be made. */
export interface NewImage {
  format: Format;
  preallocation: 'off' | 'metadata' | 'falloc' | 'full';
  virtualSizeBytes: number;
}

interface Read {
  from: Format;
  /** Layers that a guest reads through it, base-most first; none where it is read alone. */
  below: readonly { path: string; format: Format }[];
}

/** What is read in one format, and written as a new image. */
export type Rewriting = NewImage & Read;

/** Starts the creation of an empty image in `target`, as the daemon's job `id`. */
export async function startCreation(
  state: string,
  id: string,
  target: string,
  { format, preallocation, virtualSizeBytes: size }: NewImage,
): Promise<void> {
  const space = { size, preallocation: preallocation === 'full' ? 'falloc' : preallocation };
  const file = { driver: 'file', filename: target };
  const options = format === 'raw' ? { ...file, ...space } : { driver: format, file, ...space };
  const command = { execute: 'blockdev-create', arguments: { 'job-id': id, options } };
  if ((await askCopier(state, [command])) !== null) return;
  throw new Error(`the daemon that was to create ${target} ended while it was asked`);
}

export function readingNode(filename: string, { from, below }: Read, way: Way): object {
  const { aio, direct } = way;
  const file = { driver: 'file', filename, 'read-only': true, aio, cache: { direct } };
  const next = below.at(-1);
  const lower = below.slice(0, -1);
  const backing = next ? readingNode(next.path, { from: next.format, below: lower }, way) : null;
  return { driver: from, 'read-only': true, ...(from === 'qcow2' ? { backing } : {}), file };
}

/**
 * Every write of zeros is refused as not supported, so that QEMU writes them out: `full` is what
 * has been written once. Marked as zeros, even what was written before would only be reserved.
 */
const WRITTEN_OUT = { event: 'none', iotype: 'write-zeroes', errno: 95 };

export function writingNode(target: string, { format, preallocation }: Rewriting, way: Way) {
  const discard = preallocation === 'off' ? 'unmap' : 'ignore';
  const cache = { direct: way.direct };
  const file = { driver: 'file', filename: target, aio: way.aio, cache, discard };
  const image = { driver: format, discard, file };
  if (preallocation === 'off') return image;
  // A job's own writes of zeros may unmap whatever `discard` says (QEMU 7.2.22), those that pass
  // through a filter may not: without it a qcow2 target loses what was preallocated.
  const rule = preallocation === 'full' ? { 'inject-error': [WRITTEN_OUT] } : {};
  return { driver: 'blkdebug', image, ...rule };
}

/** What is unallocated in the source is skipped; the target is new, and reads as zeros there. */
export const syncOf = ({ preallocation, below }: Rewriting) =>
  preallocation === 'full' || below.length > 0 ? 'full' : 'top';
