/**
 * Which file system something is on, by the kernel's list of mounts (proc(5), `mountinfo`) alone:
 * one that hangs is not asked.
 */
import { readFileSync } from 'node:fs';
import type { FilePath } from './paths.ts';

export interface Mounts {
  /** Device numbers of file systems, as `stat` tells them, by the id of their mount. */
  byId: ReadonlyMap<string, string>;
  /** By its folder, each byte a character. */
  byPath: ReadonlyMap<string, string>;
}

/** Those that a process sees, which may have a list of its own; none when it is gone. */
export function mountsOf(pid: number | 'self'): Mounts {
  const [byId, byPath] = [new Map<string, string>(), new Map<string, string>()];
  for (const line of textOf(`/proc/${pid}/mountinfo`).split('\n')) {
    const [id, , device, , path] = line.split(' ');
    if (id === undefined || device === undefined || path === undefined) continue;
    byId.set(id, deviceNumber(device));
    // One that is mounted over another comes later.
    byPath.set(unescape(path), deviceNumber(device));
  }
  return { byId, byPath };
}

/** Undefined when no mount is known that a path could be on. */
export function deviceOfPath({ byPath }: Mounts, path: FilePath): string | undefined {
  const bytes = Buffer.from(path).toString('latin1');
  for (let place = bytes; place !== ''; place = place.slice(0, place.lastIndexOf('/'))) {
    const device = byPath.get(place);
    if (device !== undefined) return device;
  }
  return byPath.get('/');
}

/**
 * Of files by their identities. Null where the kernel's list has other numbers for one of them, as
 * with subvolumes of btrfs.
 */
export function devicesOf(files: ReadonlySet<string>, { byId }: Mounts): Devices {
  const known = new Set(byId.values());
  const devices = new Set([...files].map((file) => file.split(':')[0] ?? ''));
  return [...devices].every((one) => known.has(one)) ? devices : null;
}
export type Devices = ReadonlySet<string> | null;

/** Known to be none of those devices. */
export const isForeign = (devices: Devices, device: string | undefined): device is string =>
  devices !== null && device !== undefined && !devices.has(device);

/** The mount that a descriptor was opened by; null when it is closed. */
export const mountIdOf = (pid: number, fd: string): string | null =>
  /^mnt_id:\s+(\d+)/m.exec(textOf(`/proc/${pid}/fdinfo/${fd}`))?.[1] ?? null;

/** As `makedev`, of what `mountinfo` calls `major:minor`. */
function deviceNumber(words: string): string {
  const [major = 0n, minor = 0n] = words.split(':').map(BigInt);
  const high = ((major & ~0xfffn) << 32n) | ((minor & ~0xffn) << 12n);
  return String(high | ((major & 0xfffn) << 8n) | (minor & 0xffn));
}

const unescape = (path: string) =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
