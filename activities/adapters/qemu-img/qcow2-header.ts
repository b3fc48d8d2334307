/**
 * Reads the names in a qcow2 header without opening the image as QEMU would: one read of its
 * first bytes, so that a whole pool can be searched for what stands on a volume. Format:
 * docs/interop/qcow2.txt of QEMU.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { folderOf, nullIfMissing, type FilePath } from '../files/paths.ts';

const MAGIC = 0x514649fb;
/** QEMU refuses a name beyond the first cluster, and clusters of more than this. */
const LARGEST_CLUSTER = 2n ** 21n;
/** QEMU refuses longer names. */
const LONGEST_NAME = 1023;

/** What of the header is read: as far as the first extension of a version 3. */
const HEADER_BYTES = 104;
const EXTERNAL_DATA = 4n;
const DATA_FILE_NAME = 0x44415441;

/** Names are bytes: a header may hold, and a folder may list, what is no UTF-8. */
export interface FileNames {
  /** Absolute, null when there is no local one. */
  backing: Buffer | null;
  /** Absolute; null for an image that holds its data itself. */
  dataFile: Buffer | null;
}

export const NONE: FileNames = { backing: null, dataFile: null };

/**
 * The files that a qcow2 file names in its header, for a thread that may wait for the file system:
 * that takes a tenth of the time.
 * @throws of the file system, for a file that is there and cannot be read
 */
export function namesInSync(path: FilePath): FileNames {
  const file = openFileSync(path);
  if (file === null) return NONE;
  try {
    const search = namesAsRead(folderOf(path));
    for (let step = search.next(); ;) {
      if (step.done) return step.value;
      const { at, length } = step.value;
      const buffer = Buffer.alloc(length);
      step = search.next({ buffer, bytesRead: readSync(file, buffer, 0, length, at) });
    }
  } finally {
    closeSync(file);
  }
}

function openFileSync(path: FilePath): number | null {
  try {
    return statSync(path).isFile() ? openSync(path, 'r') : null;
  } catch (error) {
    return nullIfMissing(error);
  }
}

/** A read that the search asks for, and what it is given. */
interface Place {
  at: number;
  length: number;
}
interface Bytes {
  /** Zeros after what was read. */
  buffer: Buffer;
  bytesRead: number;
}
type Reading<T> = Generator<Place, T, Bytes>;

export function* namesAsRead(folder: Buffer): Reading<FileNames> {
  const { buffer: header, bytesRead } = yield { at: 0, length: HEADER_BYTES };
  if (bytesRead < 20 || header.readUInt32BE(0) !== MAGIC) return NONE;
  const local = (name: Buffer | null) => name && localFile(folder, name);
  return { backing: local(yield* backingIn(header)), dataFile: local(yield* dataIn(header)) };
}

function* backingIn(header: Buffer): Reading<Buffer | null> {
  const offset = header.readBigUInt64BE(8);
  const length = header.readUInt32BE(16);
  if (offset === 0n || offset > LARGEST_CLUSTER || length > LONGEST_NAME) return null;
  return yield* nameAt(Number(offset), length);
}

/** The name of an external data file, which stands in an extension of the header. */
function* dataIn(header: Buffer): Reading<Buffer | null> {
  if (header.readUInt32BE(4) < 3 || !(header.readBigUInt64BE(72) & EXTERNAL_DATA)) return null;
  const { buffer } = yield { at: 0, length: Number(LARGEST_CLUSTER) };
  for (let at = header.readUInt32BE(100); at + 8 <= buffer.length;) {
    const [type, length] = [buffer.readUInt32BE(at), buffer.readUInt32BE(at + 4)];
    if (type === DATA_FILE_NAME)
      return length > LONGEST_NAME ? null : yield* nameAt(at + 8, length);
    if (type === 0) return null;
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return null;
}

/** As QEMU reads it: zeros after the end of the file, and the first zero ends the name. */
function* nameAt(at: number, length: number): Reading<Buffer | null> {
  const { buffer } = yield { at, length };
  const end = buffer.indexOf(0);
  const name = end < 0 ? buffer : buffer.subarray(0, end);
  return name.length === 0 ? null : name;
}

/**
 * The local file that a backing name means: a path, `file:PATH`, or `json:{...}` with a file name
 * in it.
 */
export function localFile(folder: Buffer, name: Buffer): Buffer | null {
  const json = /^json:(.*)$/s.exec(name.toString());
  if (json) {
    const found = fileNameIn(json[1] ?? '');
    return found === null ? null : resolveBytes(folder, Buffer.from(found));
  }
  const path = name.toString('latin1').replace(/^file:/, '');
  // As QEMU's path_has_protocol: a colon before the first slash.
  return hasProtocol(path) ? null : resolveBytes(folder, Buffer.from(path, 'latin1'));
}

/** In latin1 a character is a byte, so that every name comes back as it was. */
const resolveBytes = (folder: Buffer, name: Buffer): Buffer =>
  Buffer.from(resolve(folder.toString('latin1'), name.toString('latin1')), 'latin1');

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
