/**
 * What names an image on a command line: VM DISK, VM/DISK, or POOL/VOLUME for an image of no VM.
 */
import { fileName, poolName, type ImageRef } from '../workflows/image-schemas.ts';
import { diskTarget } from '../workflows/schemas.ts';
import { usage } from './client-failure.ts';
import { parseDisk, parseVmOrDisk, type DiskArgument } from './disk-argument.ts';

export type SourceFormat = 'qcow2' | 'raw';

/** A guest can write any header into a raw image, but it does not choose the file's name. */
const FORMATS: Record<string, SourceFormat> = { qcow2: 'qcow2', raw: 'raw', img: 'raw' };

/** @throws BlockflowError Usage */
export function parseImage(first: string, second?: string, format?: SourceFormat): ImageRef {
  if (!isVolume(first, second)) return { kind: 'disk', ...parseDisk(first, second) };
  return { kind: 'volume', ...parseVolume(first, format) };
}

/** @throws BlockflowError Usage */
export function parseVolume(name: string, format?: SourceFormat) {
  const slash = name.indexOf('/');
  const [pool, volume] = [name.slice(0, Math.max(0, slash)), name.slice(slash + 1)];
  const attempted = `reading ${JSON.stringify(name)}`;
  if (!poolName.safeParse(pool).success || !fileName.safeParse(volume).success) {
    throw usage(
      attempted,
      'it does not name a volume',
      'Say POOL/VOLUME; see `virsh vol-list POOL`',
    );
  }
  const known = format ?? FORMATS[volume.slice(volume.lastIndexOf('.') + 1)];
  if (known) return { pool, volume, format: known };
  const now = 'its name does not tell its format, which blockflow never probes';
  throw usage(attempted, now, 'Add --source-format qcow2 or --source-format raw');
}

/** `A/B` is a volume where B cannot be a disk's target. */
const isVolume = (first: string, second?: string) =>
  second === undefined &&
  first.includes('/') &&
  !diskTarget.safeParse(first.slice(first.indexOf('/') + 1)).success;

/** The id of an operation: a disk's, or that of an image of no VM. @throws BlockflowError Usage */
export function parseOperation(first: string, second?: string): DiskArgument {
  const volume = isVolume(first, second) ? splitVolume(first) : null;
  return volume ?? parseDisk(first, second);
}

/** @throws BlockflowError Usage */
export function parseVmOrOperation(first: string, second?: string): { vm: string; disk?: string } {
  const volume = isVolume(first, second) ? splitVolume(first) : null;
  return volume ?? parseVmOrDisk(first, second);
}

/** `POOL/VOLUME`, or with what `removalId` adds: as which a move deletes what it leaves. */
function splitVolume(name: string): DiskArgument | null {
  const slash = name.indexOf('/');
  const [vm, disk] = [name.slice(0, slash), name.slice(slash + 1)];
  const volume = disk.replace(/\/(?:removal|undo\/[0-9a-f-]{36})$/, '');
  const isNamed = fileName.safeParse(volume).success;
  return isNamed && poolName.safeParse(vm).success && disk.includes('.') ? { vm, disk } : null;
}
