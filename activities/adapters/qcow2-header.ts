/**
 * Reads the backing name of a qcow2 header without opening the image as QEMU would: one read of its first bytes, so that
 * a whole pool can be searched for other children of a volume. Format: docs/interop/qcow2.txt of QEMU.
 */
import { open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

const MAGIC = 0x514649fb;

/** Absolute backing path of a qcow2 file, null when the file is something else or has no backing file. */
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
    return resolve(dirname(path), name.toString('utf8', 0, read.bytesRead));
  } finally {
    await file.close();
  }
}
