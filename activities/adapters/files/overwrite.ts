/** Zeros over what a file holds. */
import { constants } from 'node:fs';
import { open } from './calls.ts';
import { writeAll } from './files.ts';

const WIPE_PIECE = Buffer.alloc(1024 * 1024);

/**
 * Writes zeros over the extents and flushes them: a hole never held data, and zero ranges would
 * overwrite nothing.
 * @param onWritten told each time how many bytes are already overwritten; waited for
 */
export async function overwrite(
  path: string,
  extents: readonly { start: number; length: number }[],
  onWritten: (bytes: number) => Promise<void>,
): Promise<void> {
  const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    let before = 0;
    for (const { start, length } of extents) {
      for (let done = 0; done < length; done += WIPE_PIECE.length) {
        const piece = WIPE_PIECE.subarray(0, Math.min(WIPE_PIECE.length, length - done));
        await writeAll(file, piece, start + done);
        await onWritten(before + done + piece.length);
      }
      before += length;
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
