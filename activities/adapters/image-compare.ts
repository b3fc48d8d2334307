/** Looks at image files as plain bytes, whatever is written in them. */
import { z } from 'zod';
import { CommandError, run } from './command.ts';
import { observeFile } from './files.ts';

/**
 * True when both files hold the same bytes. Comparing containers proves everything at once: data,
 * allocation, internal snapshots, bitmaps; comparing chains misses the last three (moving-images.md
 * 5). Holes are not read.
 */
export async function sameBytes(
  one: string,
  other: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const [a, b] = await Promise.all([observeFile(one), observeFile(other)]);
  // Without -s a longer file with zeros at its end counts as the same.
  if (a?.sizeBytes !== b?.sizeBytes) return false;
  try {
    await run('qemu-img', ['compare', '-U', '-q', '-f', 'raw', '-F', 'raw', one, other], {
      signal,
    });
    return true;
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 1) return false;
    throw error;
  }
}

const extents = z.array(z.object({ start: z.number(), length: z.number(), data: z.boolean() }));

/** Where a file holds data, and no hole. */
export async function dataExtents(path: string): Promise<{ start: number; length: number }[]> {
  const text = await run('qemu-img', ['map', '-f', 'raw', '--output=json', path]);
  return extents.parse(JSON.parse(text)).filter(({ data }) => data);
}
