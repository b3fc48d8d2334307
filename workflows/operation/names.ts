/**
 * What names may look like, as patterns and as schemas of requests. Nowhere a control character (it
 * would end a line) or half of a surrogate pair (it would become another name).
 */
import * as z from 'zod/mini';

const CHAR = '\\p{Cc}\\p{Cs}\\uFFFE\\uFFFF';
const pattern = (source: string) => new RegExp(source.replaceAll('CHAR', CHAR), 'u');

/** A domain's or pool's name; a leading `-` could become an option. */
export const LIBVIRT_NAME = pattern('^[^-/CHAR][^/CHAR]*$');
/** A snapshot's, as others may have named it: libvirt makes a file's name of it. */
export const SNAPSHOT_NAME = pattern('^[^/CHAR]+$');
export const DISK_TARGET = /^[a-z][a-z0-9]{0,15}$/;
/** Absolute and without `.` and `..`; protocol prefixes cannot begin with a slash. */
export const VOLUME_PATH = pattern('^(?:/(?!\\.{1,2}(?:/|$))[^/CHAR]+)+$');
export const VOLUME_NAME = pattern('^[^-CHAR][^CHAR]*$');
export const HOST_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/;
/** `device:inode`, or `pool id:inode` where the pool has an id. */
export const FILE_IDENTITY = /^(?:\d+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):\d+$/;
/** Hidden names are blockflow's own. */
export const FILE_NAME = pattern('^[^-./CHAR][^/CHAR]*$');
/** Of an existing file, which blockflow may not have named. */
export const FOUND_FILE_NAME = pattern('^(?!\\.{1,2}$)[^/CHAR]+$');
/** Not `json:...`, `nbd:...`: before a colon stands a protocol, unless a slash comes first. */
export const BACKING_NAME = pattern('^(?=.)[^:/CHAR]*(?:/[^CHAR]*)?$');
export const PLAIN_TEXT = pattern('^[^CHAR]*$');
/** Any: those of VMs are their owners' choice. */
export const UUID = /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;

/** A file system counts bytes; the longest name of ours that is made of one adds 50 to them. */
export const FILE_NAME_BYTES = 200;
export function utf8Length(text: string): number {
  let bytes = 0;
  for (const char of text) {
    const code = char.codePointAt(0) as number;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/** A libvirt domain's name. */
export const vmName = z
  .string()
  .check(z.minLength(1), z.maxLength(255))
  .check(z.regex(LIBVIRT_NAME, 'is not a VM name as `virsh list --all` prints it'));
/** A libvirt pool's name. */
export const poolName = z
  .string()
  .check(z.minLength(1), z.maxLength(255))
  .check(z.regex(LIBVIRT_NAME, 'is not a pool name as `virsh pool-list` prints it'));
/** A disk's target device, as `virsh domblklist` prints it. */
export const diskTarget = z
  .string()
  .check(z.regex(DISK_TARGET, 'is not a disk target such as vda'));
export const uuid = z.string().check(z.regex(UUID, 'is not a UUID'));
/** Without `.` and `..`. */
const absolutePath = () =>
  z.string().check(z.maxLength(4096), z.regex(VOLUME_PATH, 'is not an absolute path'));
/** Absolute path of a volume. The door of agents knows a path's meaning by its schema. */
export const volumePath = absolutePath();
/** A pool's folder. */
export const poolFolder = absolutePath();
/** A volume as the user names it: a path, a name in its pool, or an index such as vda[2]. */
export const volumeName = z
  .string()
  .check(z.minLength(1), z.maxLength(4096), z.regex(VOLUME_NAME, 'is not a volume name'));
export const hostName = z.string().check(z.regex(HOST_NAME, 'is not a host'));
/** What others have named: a line of a script, and an attribute in XML, can hold it. */
export const plainText = z
  .string()
  .check(z.maxLength(1000), z.regex(PLAIN_TEXT, 'holds control characters'));
/** One that names something, as a snapshot or a volume. */
export const plainName = plainText.check(z.minLength(1), z.maxLength(255));
/** The name of a snapshot that is there. */
export const snapshotName = z
  .string()
  .check(z.minLength(1), z.maxLength(255))
  .check(z.regex(SNAPSHOT_NAME, 'is not a name as `virsh snapshot-list` prints it'));
export const sizeBytes = z.int().check(z.nonnegative());
/**
 * Identity of a file that a rename keeps and a new file of the same name does not: `device:inode`.
 */
export const fileIdentity = z.string().check(z.regex(FILE_IDENTITY));
export const imageFormat = z.enum(['raw', 'qcow2']);
/** A file directly inside a pool's folder, as a user may name one. */
export const newFileName = z
  .string()
  .check(z.regex(FILE_NAME, 'is not a file name'))
  .check(z.refine(isShort, `is longer than ${FILE_NAME_BYTES} bytes`));
/** The name of a file that is there, or of its copy. */
export const foundFileName = z
  .string()
  .check(z.maxLength(255), z.regex(FOUND_FILE_NAME, 'is not a file name'));
export const backingName = z
  .string()
  .check(z.maxLength(1023), z.regex(BACKING_NAME, 'is not the name of a local file'));

function isShort(name: string): boolean {
  return utf8Length(name) <= FILE_NAME_BYTES;
}

/** A command in a message: each value is one word of it. */
export const shell = (parts: TemplateStringsArray, ...values: (string | number)[]): string =>
  `\`${parts.map((part, at) => part + (at in values ? typed(String(values[at])) : '')).join('')}\``;

/** A word of a command line as one would type it in a shell. */
export const typed = (word: string) => {
  if (/\p{Cc}/u.test(word))
    return `$'${word.replaceAll(/[\\']/g, '\\$&').replaceAll(/\p{Cc}/gu, code)}'`;
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
};
const code = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
