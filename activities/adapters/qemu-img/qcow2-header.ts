/**
 * Reads the names in a qcow2 header without opening the image as QEMU would: one read of its
 * first bytes, so that a whole pool can be searched for what stands on a volume. Format:
 * docs/interop/qcow2.txt of QEMU.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { folderOf, nameFrom, nullIfMissing, type FilePath } from '../files/paths.ts';

const MAGIC = 0x514649fb;
/** QEMU refuses a name beyond the first cluster, and clusters of more than this. */
const LARGEST_CLUSTER = 2n ** 21n;
/** QEMU refuses longer names. */
const LONGEST_NAME = 1023;

/** What of the header is read: as far as the first extension of a version 3. */
const HEADER_BYTES = 104;
const EXTERNAL_DATA = 4n;
const DATA_FILE_NAME = 0x44415441;

/**
 * Absolute, and as bytes: a header may hold, and a folder may list, what is no UTF-8. A name may
 * mean several files, or be read in several ways; not each of them need be there.
 */
export interface FileNames {
  backing: readonly Buffer[];
  /** Where the image does not hold its data itself. */
  dataFile: readonly Buffer[];
}

export const NONE: FileNames = { backing: [], dataFile: [] };

export const namesNone = ({ backing, dataFile }: FileNames) =>
  backing.length === 0 && dataFile.length === 0;

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
  const local = (name: Buffer | null) => (name === null ? [] : localFiles(folder, name));
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
 * The local files that a name in a header may mean: a path, `json:{...}` with the names of all
 * files in it, or what follows the drivers of QEMU that take a file.
 */
export function localFiles(folder: Buffer, name: Buffer): Buffer[] {
  const json = /^json:(.*)$/s.exec(name.toString());
  const found = json
    ? fileNamesIn(json[1] ?? '').map((text) => Buffer.from(text))
    : partsOf(name.toString('latin1')).map((text) => Buffer.from(text, 'latin1'));
  return found.map((one) => bytesFrom(folder, one));
}

/** `blkdebug:CONFIG:FILE` and `blkverify:RAW:FILE` name two files, each of them again so. */
const WRAPPED = /^(?:file|host_device|host_cdrom|blkdebug|blkverify):(.*)$/s;

function partsOf(name: string): string[] {
  const inner = WRAPPED.exec(name)?.[1];
  // As QEMU's path_has_protocol: a colon before the first slash.
  if (inner === undefined) return hasProtocol(name) ? [] : [name];
  const colons = [...inner.matchAll(/:/g)].map(({ index }) => index);
  const parts = [inner, ...colons.map((at) => inner.slice(at + 1))];
  const before = colons.map((at) => inner.slice(0, at));
  return [...parts.flatMap((part) => [part, ...partsOf(part)]), ...before].filter(Boolean);
}

/** In latin1 a character is a byte, so that every name comes back as it was. */
const bytesFrom = (folder: Buffer, name: Buffer): Buffer =>
  Buffer.from(nameFrom(folder.toString('latin1'), name.toString('latin1')), 'latin1');

/** QEMU takes what stands before a colon for a protocol, unless a slash comes first. */
export const hasProtocol = (name: string) => /^[^/]*:/.test(name);

/**
 * Every file name in it: of formats and filters, of backing files that it names itself, and of
 * external data. QEMU takes more for JSON than `JSON.parse` does, so its text is searched for them.
 */
const fileNamesIn = (json: string): string[] =>
  [...json.matchAll(NAMED_FILE)].map(({ groups }) => unescaped(groups?.['name'] ?? ''));

/** `"filename": "NAME"`, also as the end of a dotted key, in either kind of quotes. */
const NAMED_FILE = /(?<=["'.])filename["']\s*:\s*(?<quote>["'])(?<name>(?:\\.|(?!\k<quote>).)*)/gs;

/** QEMU's json-lexer.c and json-parser.c. */
const unescaped = (text: string) =>
  text.replaceAll(/\\(?:u([0-9a-f]{4})|(.))/gis, (_, hex?: string, char: string = '') =>
    hex === undefined ? (ESCAPED[char] ?? char) : String.fromCharCode(parseInt(hex, 16)),
  );
const ESCAPED: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
