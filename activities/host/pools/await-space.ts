import { sizeWords } from '../../../workflows/operation/words.ts';
import { observeSpace } from '../../adapters/files/files.ts';
import { waitUntil } from '../../door/polling.ts';

/** Waits until the file system of `path` has `neededBytes` free. */
export function awaitSpace(input: { path: string; neededBytes: number }): Promise<void> {
  return waitUntil(async () => {
    const { freeBytes } = await observeSpace(input.path);
    const missing = input.neededBytes - freeBytes;
    if (missing <= 0) return null;
    return `${sizeWords(missing)} are missing on the file system of ${input.path}`;
  });
}
