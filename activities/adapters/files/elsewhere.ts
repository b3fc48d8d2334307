/**
 * A file that cannot be looked at, as its file system is dead, another user's or silent, is none of
 * those that are on others. So people's CD-ROMs on shares that are gone stop nothing.
 */
import { dirname } from 'node:path';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { readlinkSoon } from './calls.ts';
import { observeFile } from './files.ts';
import { deviceOfPath, devicesOf, isForeign, mountsOf } from './mounts.ts';
import { nullIfMissing, type FilePath } from './paths.ts';

/** What is known of a path when some files are looked for. */
export interface Sighting {
  /** `device:inode` of the file there; null where there is none, or where it cannot be seen. */
  identity: string | null;
  /** Why it cannot be seen: it is on another file system than those that are looked for. */
  unseen: Error | null;
}

/**
 * @param wanted identities of files, and names that none has
 * @throws as `observeFile`, where the path may be one of them
 */
export async function sightOf(path: FilePath, wanted: ReadonlySet<string>): Promise<Sighting> {
  const before = silentAt(path, wanted);
  if (before) return { identity: null, unseen: before };
  try {
    return { identity: (await observeFile(path))?.identity ?? null, unseen: null };
  } catch (error) {
    const device = await foreignDevice(path, wanted);
    if (device === null) throw error;
    if (isSilence(error)) silent.set(device, { untilMs: Date.now() + AGAIN_MS, why: error });
    return { identity: null, unseen: error as Error };
  }
}

const isSilence = (error: unknown): error is Error =>
  failureDetails(error)?.details.code === 'storage-silent';

/** File systems that were silent. Who looks at many files there waits for the first one only. */
const silent = new Map<string, { untilMs: number; why: Error }>();
const AGAIN_MS = 60_000;

function silentAt(path: FilePath, wanted: ReadonlySet<string>): Error | null {
  // Most agents never see one.
  if (silent.size === 0) return null;
  const found = foreignAt(path, wanted);
  const last = found === null ? undefined : silent.get(found);
  return last && Date.now() < last.untilMs ? last.why : null;
}

async function foreignDevice(path: FilePath, wanted: ReadonlySet<string>): Promise<string | null> {
  const place = await lastPlace(path);
  return place === null ? null : foreignAt(place, wanted);
}

/** The device of a path as it is spelled, where the kernel's list says that no wanted file is. */
function foreignAt(path: FilePath, wanted: ReadonlySet<string>): string | null {
  const mounts = mountsOf('self');
  const isName = (one: string) => one.startsWith('/');
  const named = [...wanted].filter(isName).map((name) => deviceOfPath(mounts, name));
  const files = new Set([...wanted].filter((one) => !isName(one)));
  const device = deviceOfPath(mounts, path);
  if (!isForeign(devicesOf(files, mounts), device) || named.includes(device)) return null;
  return device;
}

const MANY_LINKS = 40;

/**
 * Where a path leads to, by the links in it, as far as it can be followed: what is beyond is not
 * asked. Null where it goes in circles.
 */
async function lastPlace(path: FilePath): Promise<Buffer | null> {
  const left = Buffer.from(path).toString('latin1').split('/');
  let place = '';
  for (let links = 0; left.length > 0;) {
    const part = left.shift() ?? '';
    if (part === '' || part === '.') continue;
    if (part === '..') place = dirname(place || '/').replace(/^\/$/, '');
    else {
      const next = `${place}/${part}`;
      const link = await linkAt(Buffer.from(next, 'latin1'));
      if (link === undefined) return Buffer.from(next, 'latin1');
      if (link === null) place = next;
      else {
        if (++links > MANY_LINKS) return null;
        if (link.startsWith('/')) place = '';
        left.unshift(...link.split('/'));
      }
    }
  }
  return Buffer.from(place, 'latin1');
}

/** Null for what is no link, undefined where that cannot be told. */
async function linkAt(path: Buffer): Promise<string | null | undefined> {
  try {
    return (await readlinkSoon(path, 'buffer').catch(nullIfMissing))?.toString('latin1') ?? null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EINVAL' ? null : undefined;
  }
}
