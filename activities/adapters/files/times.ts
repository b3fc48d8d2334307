/** When the data of a file was last changed, which a change that keeps the data must not hide. */
import { constants } from 'node:fs';
import { open, stat, type FileHandle } from './calls.ts';

/** Both times of the source. */
export async function copyTimes(source: string, target: FileHandle): Promise<void> {
  const { atimeMs, mtimeMs } = await stat(source);
  await target.utimes(atimeMs / 1000, mtimeMs / 1000);
}

/**
 * Nothing happens where another file has the name, or where the file system does not allow it.
 * @param modifiedNs since the epoch; what is set may be off by a microsecond
 */
export async function setModified(
  { path, identity }: { path: string; identity: string },
  modifiedNs: string,
): Promise<void> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => null);
  if (!file) return;
  try {
    const { dev, ino, atimeMs } = await file.stat({ bigint: true });
    if (`${dev}:${ino}` !== identity) return;
    const seconds = Number(BigInt(modifiedNs) / 1000n) / 1e6;
    await file.utimes(Number(atimeMs) / 1000, seconds).catch(() => undefined);
  } finally {
    await file.close();
  }
}
