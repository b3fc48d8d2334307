/**
 * Reads the backing name of a qcow2 header without opening the image as QEMU would: one read of its
 * first bytes, so that a whole pool can be searched for other children of a volume. Format:
 * docs/interop/qcow2.txt of QEMU.
 */
import { open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

const MAGIC = 0x514649fb;

/**
 * Absolute backing path of a qcow2 file, null when it is something else or has no local backing
 * file.
 */
export async function backingOf(path: string): Promise<string | null> {
  // Opening a pipe would wait for its writer.
  const facts = await stat(path).catch(() => null);
  const file = facts?.isFile() ? await open(path, 'r').catch(() => null) : null;
  if (!file) return null;
  try {
    const header = Buffer.alloc(20);
    const { bytesRead } = await file.read(header, 0, 20, 0);
    if (bytesRead < 20 || header.readUInt32BE(0) !== MAGIC) return null;
    const offset = Number(header.readBigUInt64BE(8));
    const length = header.readUInt32BE(16);
    // QEMU refuses names longer than 1023 bytes, so a longer one is no backing name.
    if (offset === 0 || length === 0 || length > 1023) return null;
    const name = Buffer.alloc(length);
    const read = await file.read(name, 0, length, offset);
    return localFile(dirname(path), name.toString('utf8', 0, read.bytesRead));
  } finally {
    await file.close();
  }
}

/**
 * The local file that a backing name means: a path, `file:PATH`, or `json:{...}` with a file name
 * in it.
 */
export function localFile(folder: string, name: string): string | null {
  if (name.startsWith('json:')) {
    const found = fileNameIn(name.slice('json:'.length));
    return found === null ? null : resolve(folder, found);
  }
  const path = name.replace(/^file:/, '');
  // As QEMU's path_has_protocol: a colon before the first slash.
  return /^[^/]*:/.test(path) ? null : resolve(folder, path);
}

function fileNameIn(json: string): string | null {
  let found: string | null = null;
  const note = (key: string, value: unknown) => {
    if (/(^|\.)filename$/.test(key) && typeof value === 'string') found ??= value;
    return value;
  };
  try {
    JSON.parse(json, note);
  } catch {
    return null;
  }
  return found;
}
