/**
 * Reads the backing name of a qcow2 header without opening the image as QEMU would: one read of its
 * first bytes, so that a whole pool can be searched for other children of a volume. Format:
 * docs/interop/qcow2.txt of QEMU.
 */
import { open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { nullIfMissing } from './files.ts';

const MAGIC = 0x514649fb;
/** QEMU refuses a name beyond the first cluster, and clusters of more than this. */
const LARGEST_CLUSTER = 2n ** 21n;

/**
 * Absolute backing path of a qcow2 file, null when it is something else or has no local backing
 * file.
 * @throws of the file system, for a file that is there and cannot be read
 */
export async function backingOf(path: string): Promise<string | null> {
  // Opening a pipe would wait for its writer.
  const facts = await stat(path).catch(nullIfMissing);
  const file = facts?.isFile() ? await open(path, 'r').catch(nullIfMissing) : null;
  if (!file) return null;
  try {
    const header = Buffer.alloc(20);
    const { bytesRead } = await file.read(header, 0, 20, 0);
    if (bytesRead < 20 || header.readUInt32BE(0) !== MAGIC) return null;
    const offset = header.readBigUInt64BE(8);
    const length = header.readUInt32BE(16);
    // QEMU refuses names longer than 1023 bytes, so a longer one is no backing name.
    if (offset === 0n || offset > LARGEST_CLUSTER || length === 0 || length > 1023) return null;
    const name = Buffer.alloc(length);
    await file.read(name, 0, length, Number(offset));
    // As QEMU reads it: zeros after the end of the file, and the first zero ends the name.
    const text = name.toString('utf8').replace(/\0.*$/s, '');
    return text === '' ? null : localFile(dirname(path), text);
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
  return hasProtocol(path) ? null : resolve(folder, path);
}

/** QEMU takes what stands before a colon for a protocol, unless a slash comes first. */
export const hasProtocol = (name: string) => /^[^/]*:/.test(name);

/**
 * The file below the formats and filters of a `json:` name. An external data file, or the backing
 * file that it names itself, is another one.
 */
function fileNameIn(json: string): string | null {
  try {
    return flatNames(JSON.parse(json), '').find(([key]) => FILE_NAME.test(key))?.[1] ?? null;
  } catch {
    return null;
  }
}

const FILE_NAME = /^(?:(?:file|image)\.)*filename$/;

/** Both spellings, nested objects and dotted keys, as dotted keys. */
function flatNames(value: unknown, prefix: string): [string, string][] {
  if (typeof value === 'string') return [[prefix, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    flatNames(inner, prefix === '' ? key : `${prefix}.${key}`),
  );
}
