/** Looks at image files as plain bytes, whatever is written in them. */
import { z } from 'zod';
import { CommandError, run } from '../process/command.ts';
import { observeFile } from '../files/files.ts';
import { imageOf, pathsOf, type Layer } from './layers.ts';
import { reading } from './reading.ts';
import { percentOf, readHeader, TABLES } from './qemu-img.ts';
import { count, parseJsonReply, unexpected } from '../reply.ts';

export interface CompareOptions {
  signal?: AbortSignal;
  /** Told, in steps of 2, how much of them is compared. */
  onPercent?: (percent: number) => void;
}

/** Of a large file, compared at once: one alone waits for the disk most of its time. */
const PARTS = 2;
/** Smaller files are compared as one. */
const LARGE_BYTES = 256 * 2 ** 20;

/**
 * True when both files hold the same bytes. Comparing containers proves everything at once: data,
 * allocation, internal snapshots, bitmaps; comparing chains misses the last three
 * (docs/lab/qemu.md). Holes are not read.
 */
export async function sameBytes(
  one: string,
  other: string,
  { signal, onPercent }: CompareOptions = {},
): Promise<boolean> {
  const [a, b] = await Promise.all([observeFile(one), observeFile(other)]);
  // Without -s a longer file with zeros at its end counts as the same.
  if (a?.sizeBytes !== b?.sizeBytes) return false;
  const parts = partsOf(one, other, a?.sizeBytes ?? 0);
  const percents = parts.map(() => 0);
  const ending = new AbortController();
  try {
    const compared = parts.map((images, at) =>
      compare(images, [one, other], {
        signal: AbortSignal.any([ending.signal, ...(signal ? [signal] : [])]),
        onPercent(percent) {
          percents[at] = percent;
          onPercent?.(percents.reduce((sum, of) => sum + of, 0) / parts.length);
        },
      }),
    );
    return (await Promise.all(compared)).every(Boolean);
  } finally {
    // One that failed ends the others.
    ending.abort();
  }
}

/** What qemu-img compares, as its arguments; formats are given in each. */
function partsOf(one: string, other: string, sizeBytes: number): string[][] {
  if (sizeBytes < LARGE_BYTES) return [['-f', 'raw', '-F', 'raw', one, other]];
  const size = Math.floor(sizeBytes / PARTS / 2 ** 20) * 2 ** 20;
  return Array.from({ length: PARTS }, (_, i) => {
    // The last without a size: QEMU wants multiples of 512 bytes, and a file may end anywhere.
    const part = { offset: i * size, ...(i < PARTS - 1 ? { size } : {}) };
    return [one, other].map((filename) => {
      const file = { driver: 'file', filename };
      return `json:${JSON.stringify({ driver: 'raw', ...part, file })}`;
    });
  });
}

/**
 * True when a guest reads the same through the last of these layers, base-most first, and in an
 * image that stands alone, from the first to the last byte.
 */
export async function sameContent(
  layers: readonly Layer[],
  copy: Layer,
  options: CompareOptions = {},
): Promise<boolean> {
  const ends = [...layers.slice(-1), copy];
  const [a, b] = await Promise.all(ends.map((i) => readHeader(i.path, i.format)));
  if (a?.virtualSizeBytes !== b?.virtualSizeBytes) return false;
  const paths = pathsOf([...layers, copy]);
  return compare([imageOf(layers), imageOf([copy])], paths, options);
}

/**
 * Past the page cache where the file system can: what the disk has is compared, and a third of the
 * processor time is enough.
 */
async function compare(
  images: readonly string[],
  paths: readonly string[],
  { signal, onPercent }: CompareOptions,
): Promise<boolean> {
  const onOutput = (text: string) => {
    const percent = percentOf(text);
    if (percent !== null) onPercent?.(percent);
  };
  const options = await reading(paths, { signal, onOutput });
  const isSame = async (...cache: string[]) => {
    try {
      await run('qemu-img', ['compare', '-U', '-p', ...cache, ...images], options);
      return true;
    } catch (error) {
      if (error instanceof CommandError && error.exitCode === 1) return false;
      throw error;
    }
  };
  return isSame('-T', 'none').catch((error: unknown) => {
    if (error instanceof CommandError && /O_DIRECT/.test(error.stderr)) return isSame();
    throw error;
  });
}

const extents = z.array(z.object({ start: count, length: count, data: z.boolean() }));

/** Where a file holds data, and no hole; or a chain, as a guest sees it. */
export async function dataExtents(
  path: string,
  layers: readonly Layer[] = [{ path, format: 'raw' }],
): Promise<{ start: number; length: number }[]> {
  const args = ['map', '-U', '--output=json', imageOf(layers)];
  const text = await run('qemu-img', args, await reading(pathsOf(layers), TABLES));
  return parseExtents(text, path);
}

/** Of `qemu-img map`: what it leaves out would not be counted, nor wiped. */
export function parseExtents(text: string, path: string): { start: number; length: number }[] {
  const from = `qemu-img map of ${path}`;
  const all = parseJsonReply(extents, from, text);
  let end = 0;
  for (const { start, length } of all) {
    if (start !== end) throw unexpected(from, `bytes ${end} to ${start} are missing`);
    end = start + length;
  }
  if (!Number.isSafeInteger(end)) throw unexpected(from, 'it ends beyond any file');
  return all.filter(({ data }) => data).map(({ start, length }) => ({ start, length }));
}
