/**
 * What names may look like, for the schemas and for the workflows' own look at a request. Nowhere a
 * control character (it would end a line) or half of a surrogate pair (it would become another
 * name).
 */
const CHAR = '\\p{Cc}\\p{Cs}\\uFFFE\\uFFFF';
const pattern = (source: string) => new RegExp(source.replaceAll('CHAR', CHAR), 'u');

/** A domain's or pool's name; a leading `-` could become an option. */
export const LIBVIRT_NAME = pattern('^[^-/CHAR][^/CHAR]*$');
export const DISK_TARGET = /^[a-z][a-z0-9]{0,15}$/;
/** Absolute and without `.` and `..`; protocol prefixes cannot begin with a slash. */
export const VOLUME_PATH = pattern('^(?:/(?!\\.{1,2}(?:/|$))[^/CHAR]+)+$');
export const VOLUME_NAME = pattern('^[^-CHAR][^CHAR]*$');
export const HOST_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/;
/** `device:inode`, or `pool id:inode` where the pool has an id. */
export const FILE_IDENTITY = /^(?:\d+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):\d+$/;
/** Hidden names are blockflow's own. */
export const FILE_NAME = pattern('^[^-./CHAR][^/CHAR]*$');
/** Of a file that is there already, whoever named it. */
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
