/**
 * Every qemu-img and qemu-io command of blockflow. Formats are always given, never probed
 * (CVE-2026-24708, docs/lab/qemu.md).
 */
import { execa } from 'execa';
import { childEnvironment } from '../process/environment.ts';
import { z } from 'zod';
import { CommandError, run } from '../process/command.ts';
import type { DirtyBitmap } from './bitmaps.ts';
import { createKnownHeaders } from './known-headers.ts';
import { imageOf, pathsOf, type Layer } from './layers.ts';
import { hasProtocol } from './qcow2-header.ts';
import { reading } from './reading.ts';
import { count, parseJsonReply, unexpected } from '../reply.ts';

/** How long a storage has for some blocks, and for all tables of an image. */
const HEADER = { withinMs: 60_000 };
export const TABLES = { withinMs: 600_000 };

const bitmap = z
  .object({ name: z.string(), granularity: count, flags: z.array(z.string()) })
  .transform(({ name, granularity, flags }) => ({
    name,
    granularityBytes: granularity,
    isEnabled: flags.includes('auto'),
    isBroken: flags.includes('in-use'),
  }));

const innerSnapshot = z
  .object({ id: z.string(), name: z.string(), 'date-sec': count, 'vm-state-size': count })
  .transform(({ id, name, 'date-sec': takenSeconds, 'vm-state-size': memoryBytes }) => ({
    ...{ id, name, takenSeconds, memoryBytes },
  }));
/** A snapshot inside of a qcow2 file: several may have one name, none the id of another one. */
export type InnerSnapshot = z.infer<typeof innerSnapshot>;

const info = z.object({
  'virtual-size': count,
  'actual-size': count.optional(),
  format: z.string(),
  'cluster-size': count.optional(),
  'backing-filename': z.string().min(1).optional(),
  'full-backing-filename': z.string().optional(),
  'backing-filename-format': z.string().optional(),
  snapshots: z.array(innerSnapshot).optional(),
  'format-specific': z
    .object({
      data: z
        .object({
          'data-file': z.string().optional(),
          corrupt: z.boolean().optional(),
          compat: z.string().optional(),
          'lazy-refcounts': z.boolean().optional(),
          'refcount-bits': z.number().optional(),
          'extended-l2': z.boolean().optional(),
          'compression-type': z.string().optional(),
          bitmaps: z.array(bitmap).optional(),
        })
        .optional(),
    })
    .optional(),
  encrypted: z.boolean().optional(),
});

export interface ImageHeader {
  format: 'qcow2' | 'raw';
  virtualSizeBytes: number;
  /** Backing name exactly as the header holds it (perhaps relative), null without one. */
  backingName: string | null;
  backingFormat: string | null;
  internalSnapshots: InnerSnapshot[];
  bitmaps: DirtyBitmap[];
  /** compat=0.10 */
  isVersion2: boolean;
  /** Options that are not as QEMU has them by default, as of `qemu-img create -o`. */
  special: string[];
  encrypted: boolean;
  isCorrupt: boolean;
  externalDataFile: string | null;
}

/**
 * Reads one image's header, its backing file unopened by us; works while a VM has it open (`-U`).
 * One that has not changed since is not read again.
 */
export const readHeader = (path: string, format: 'qcow2' | 'raw'): Promise<ImageHeader> =>
  known[format].get(path, async () => {
    const args = ['info', '-U', '-f', format, '--output=json', path];
    const text = await run('qemu-img', args, await reading([path], HEADER));
    return parseHeader(text, path, format);
  });

const known = {
  qcow2: createKnownHeaders<ImageHeader>(),
  raw: createKnownHeaders<ImageHeader>(),
};

/**
 * What `qemu-img info` said of one image.
 * @throws Retry `unexpected-reply` for anything else; a chain never ends because a word is missing.
 */
export function parseHeader(text: string, path: string, format: 'qcow2' | 'raw'): ImageHeader {
  const from = `qemu-img info of ${path}`;
  const header = parseJsonReply(info, from, text);
  if (header.format !== format) throw unexpected(from, `it says format ${header.format}`);
  const data = header['format-specific']?.data;
  const { 'full-backing-filename': full, 'backing-filename-format': below } = header;
  const hasTrace = full !== undefined || below !== undefined;
  if (header['backing-filename'] === undefined && hasTrace) {
    throw unexpected(from, 'it names a backing format, but no backing file');
  }
  return {
    format,
    virtualSizeBytes: header['virtual-size'],
    backingName: header['backing-filename'] ?? null,
    backingFormat: header['backing-filename-format'] ?? null,
    internalSnapshots: header.snapshots ?? [],
    bitmaps: data?.bitmaps ?? [],
    isVersion2: data?.compat === '0.10',
    special: specialOptions(header),
    encrypted: header.encrypted ?? false,
    isCorrupt: data?.corrupt ?? false,
    externalDataFile: data?.['data-file'] ?? null,
  };
}

/** Of qcow2, in QEMU 7.2. */
function specialOptions(header: z.infer<typeof info>): string[] {
  const { data } = header['format-specific'] ?? {};
  type Value = string | number | boolean | undefined;
  const given: Record<string, [Value, Value]> = {
    compat: [data?.compat, '1.1'],
    cluster_size: [header['cluster-size'], 65_536],
    lazy_refcounts: [data?.['lazy-refcounts'], false],
    refcount_bits: [data?.['refcount-bits'], 16],
    extended_l2: [data?.['extended-l2'], false],
    compression_type: [data?.['compression-type'], 'zlib'],
  };
  return Object.entries(given).flatMap(([name, [is, usual]]) =>
    is === undefined || is === usual ? [] : [`${name}=${is === true ? 'on' : String(is)}`],
  );
}

/**
 * Upper bound of the bytes that a chain needs as one image (`qemu-img measure`).
 */
export async function measure(
  layers: readonly Layer[],
  target: string,
  preallocation = 'off',
): Promise<number> {
  const options = ['-O', target, '-o', `preallocation=${preallocation}`];
  const args = ['measure', '-U', '--output=json', ...options, imageOf(layers)];
  const text = await run('qemu-img', args, await reading(pathsOf(layers), TABLES));
  const needs = z.object({ required: count });
  return parseJsonReply(needs, `qemu-img measure of ${layers.at(-1)?.path}`, text).required;
}

/**
 * True when no process anywhere has the image open, by QEMU's own locks, also across hosts on
 * shared file systems. Opened as raw, so that its backing file stays closed; nothing is written.
 */
export async function isUnlocked(path: string): Promise<boolean> {
  try {
    await run('qemu-io', ['-f', 'raw', '-c', 'quit', path], HEADER);
    return true;
  } catch (error) {
    if (error instanceof CommandError && /Failed to get .* lock/.test(error.stderr)) return false;
    throw error;
  }
}

/**
 * Runs `use` while QEMU's image locks keep every VM from starting with the image: qemu-io has it
 * open for writing, as raw, so that nothing in it changes. The hold ends with us, because qemu-io
 * ends with its input.
 * @returns null when another process has the image open.
 */
export async function whileHeld<T>(path: string, use: () => Promise<T>): Promise<T | null> {
  const env = childEnvironment({ LC_ALL: 'C' });
  const options = { env, extendEnv: false, stdin: 'pipe', reject: false } as const;
  const holder = execa('qemu-io', ['-f', 'raw', path], options);
  const prompt = new Promise<'held'>((resolve) => {
    holder.stdout.once('data', () => resolve('held'));
  });
  // Not `holder` itself: comparing the whole of execa's type with a promise takes tsc seconds.
  const ended = (async () => ({ stderr: (await holder).stderr }))();
  const first = await Promise.race([prompt, ended]);
  if (first !== 'held') {
    if (/Failed to get .* lock/.test(first.stderr)) return null;
    throw CommandError.of(`qemu-io -f raw ${path}`, first.stderr);
  }
  try {
    return await use();
  } finally {
    holder.stdin.end();
    await ended;
  }
}

/** A relative name that QEMU does not take for a protocol. */
export const asFileName = (name: string) => (hasProtocol(name) ? `./${name}` : name);

/** Changes only the header's backing name: the caller has proven that the content is the same. */
export async function rebaseUnsafe(
  path: string,
  format: string,
  backing: { name: string; format: string },
): Promise<void> {
  const { name, format: below } = backing;
  await run('qemu-img', ['rebase', '-u', '-f', format, '-b', name, '-F', below, path]);
}

/** The last of the percentages that `-p` prints: `(12.34/100%)`, and carriage returns. */
export function percentOf(text: string): number | null {
  const last = [...text.matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)].at(-1)?.[1];
  return last === undefined ? null : Number(last);
}
