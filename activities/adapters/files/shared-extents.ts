/**
 * What a file shares with others by reflinks. Writing there reaches new blocks, never the old ones.
 */
import { statfs } from './calls.ts';
import { BCACHEFS, BTRFS, ZFS } from './file-systems.ts';
import { CommandError, run } from '../process/command.ts';
import { unexpected } from '../reply.ts';

export interface Extent {
  start: number;
  length: number;
}

/** Every write goes elsewhere, shared or not. */
const WRITES_ELSEWHERE: readonly number[] = [BTRFS, BCACHEFS, ZFS];

/** Whether writing to a file reaches the blocks that it has now. */
export interface Sharing {
  shared: Extent[];
  /** False where all of it is written elsewhere, or the file system does not tell. */
  isInPlace: boolean;
}

export async function observeSharing(path: string): Promise<Sharing> {
  const isInPlace = !WRITES_ELSEWHERE.includes((await statfs(path)).type);
  try {
    return { shared: parseShared(await run('filefrag', ['-v', '-b1', path]), path), isInPlace };
  } catch (error) {
    if (error instanceof CommandError) return { shared: [], isInPlace: false };
    throw error;
  }
}

const EXTENT = /^\s*\d+:\s*(\d+)\.\.\s*(\d+):.*$/gm;

/** Of `filefrag -v -b1`: what is not understood would count as not shared. */
export function parseShared(text: string, path: string): Extent[] {
  const lines = [...text.matchAll(EXTENT)];
  if (!/: \d+ extents? found\s*$/.test(text)) {
    throw unexpected(`filefrag of ${path}`, 'it does not say how many extents there are');
  }
  return lines
    .filter(([line]) => /\bshared\b/.test(line))
    .map(([, first, last]) => ({ start: Number(first), length: Number(last) + 1 - Number(first) }));
}

/** What is left of the extents, both in their order. */
export function subtract(extents: readonly Extent[], others: readonly Extent[]): Extent[] {
  return extents.flatMap(({ start, length }) => {
    const remaining: Extent[] = [];
    let at = start;
    for (const other of others) {
      if (other.start > at) remaining.push(between(at, Math.min(other.start, start + length)));
      at = Math.max(at, other.start + other.length);
    }
    return [...remaining, between(at, start + length)].filter((extent) => extent.length > 0);
  });
}

const between = (start: number, end: number): Extent => ({ start, length: end - start });
