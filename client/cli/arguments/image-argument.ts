/**
 * What names an image on a command line: VM DISK, VM/DISK, or POOL/VOLUME for a standalone image.
 */
import { newFileName, poolName, shell } from '../../../workflows/operation/names.ts';
import type { ImageRef } from '../../../workflows/chain/references.ts';
import { formatByName } from '../../../workflows/chain/words.ts';
import { usage } from '../../library/failure.ts';
import { parseDisk, parseVmOrDisk, type DiskArgument } from './disk-argument.ts';

export type SourceFormat = 'qcow2' | 'raw';

/** A disk's target as libvirt allows it: none of them can be a volume whose format is known. */
const TARGET = /^(?:fd|hd|sd|ubd|vd|xvd)[a-z0-9]+$/;

/**
 * `A/B` alone is a volume if its format is told, by an option or by the end of its name, and a disk
 * if B is a target; whatever is neither is refused. @throws BlockflowError Usage
 */
export function parseImage(first: string, second?: string, format?: SourceFormat): ImageRef {
  const slash = first.indexOf('/');
  if (second !== undefined || slash < 0) return parseDiskOnly(parseDisk(first, second), format);
  if (format ?? formatByName(first)) return { kind: 'volume', ...parseVolume(first, format) };
  const [name, part] = [first.slice(0, slash), first.slice(slash + 1)];
  if (part === '' || TARGET.test(part)) return { kind: 'disk', ...parseDisk(first) };
  throw usage(
    `reading ${JSON.stringify(first)}`,
    `${JSON.stringify(part)} may be a disk of a VM, or a volume whose name tells no format`,
    `Say ${shell`${name} ${part}`} for a disk of VM ${name}; for a volume of pool ${name} add ` +
      '--source-format qcow2 or --source-format raw',
  );
}

function parseDiskOnly(ref: DiskArgument, format?: SourceFormat): ImageRef {
  if (!format) return { kind: 'disk', ...ref };
  const now = `the format of ${ref.vm}/${ref.disk} is what the VM's XML says`;
  throw usage(`reading --source-format ${format}`, now, 'Leave it out, or name POOL/VOLUME');
}

/** @throws BlockflowError Usage */
export function parseVolume(name: string, format?: SourceFormat) {
  const slash = name.indexOf('/');
  const [pool, volume] = [name.slice(0, Math.max(0, slash)), name.slice(slash + 1)];
  const attempted = `reading ${JSON.stringify(name)}`;
  if (!poolName.safeParse(pool).success || !newFileName.safeParse(volume).success) {
    throw usage(
      attempted,
      'it does not name a volume',
      'Give POOL/VOLUME; see `virsh vol-list POOL`',
    );
  }
  const known = format ?? formatByName(volume);
  if (known) return { pool, volume, format: known };
  const now = 'its name does not tell its format, which blockflow never probes';
  throw usage(attempted, now, 'Add --source-format qcow2 or --source-format raw');
}

/** What follows the first slash of an id: names without control characters. */
const PARTS = /^[^/\p{Cc}\p{Cs}]+(?:\/[^/\p{Cc}\p{Cs}]+){0,3}$/u;

/**
 * A VM or a pool alone, or the id of an operation, which is what was typed: VM/DISK, POOL/VOLUME,
 * or a longer one as a move prints it for what it leaves. @throws BlockflowError Usage
 */
export function parseOperation(first: string, second?: string): { vm: string; disk?: string } {
  const slash = first.indexOf('/');
  if (slash < 0 && second === undefined) return parseVmOrDisk(first);
  if (slash >= 0 && second !== undefined) return parseDisk(first, second);
  const [vm, disk] = second === undefined ? cut(first, slash) : [first, second];
  if (poolName.safeParse(vm).success && disk.length < 600 && PARTS.test(disk)) return { vm, disk };
  throw usage(
    `reading ${[first, second]
      .filter(Boolean)
      .map((word) => JSON.stringify(word))
      .join(' ')}`,
    'it is not the name of an operation',
    'Give VM/DISK or POOL/VOLUME; `blockflow list` shows the names of all',
  );
}

const cut = (text: string, at: number): [string, string] => [text.slice(0, at), text.slice(at + 1)];

/** Whose events those of an operation are: also of what a move leaves, by its volume. */
export function parseSubject(first: string, second?: string): { vm: string; disk?: string } {
  const { vm, disk } = parseOperation(first, second);
  return disk === undefined ? { vm } : { vm, disk: disk.split('/')[0] as string };
}
