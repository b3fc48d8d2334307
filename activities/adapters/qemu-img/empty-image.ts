/** Empty images: what libvirt would make for a snapshot or a copy, made and looked at by us. */
import { z } from 'zod';
import { observeFile } from '../files/files.ts';
import { CommandError, run } from '../process/command.ts';
import { parseJsonReply } from '../reply.ts';
import { readHeader } from './qemu-img.ts';
import { reading } from './reading.ts';

export interface EmptyImage {
  format: 'qcow2' | 'raw';
  /** Null without one; a raw image has none. */
  backing: { name: string; format: string } | null;
  virtualSizeBytes: number;
  /** Null for QEMU's default. */
  clusterBytes: number | null;
  extendedL2: boolean;
}

/**
 * Makes a file that holds nothing of its own. The backing file is not opened: its name counts from
 * where the image will be.
 */
export async function createEmpty(path: string, image: EmptyImage): Promise<void> {
  const { format, backing, virtualSizeBytes, clusterBytes, extendedL2 } = image;
  const options = [
    ...(clusterBytes === null ? [] : [`cluster_size=${clusterBytes}`]),
    ...(extendedL2 ? ['extended_l2=on'] : []),
  ];
  await run('qemu-img', [
    ...['create', '-q', '-f', format],
    ...(backing ? ['-u', '-b', backing.name, '-F', backing.format] : []),
    ...(options.length > 0 ? ['-o', options.join(',')] : []),
    ...[path, String(virtualSizeBytes)],
  ]);
}

/** What is wrong with its header, in words; null when nothing is. libvirt looks at none of it. */
export async function emptyFault(path: string, image: EmptyImage): Promise<string | null> {
  const header = await readHeader(path, image.format).catch((error: unknown) => {
    if (error instanceof CommandError) return error.stderr;
    throw error;
  });
  if (typeof header === 'string') return header;
  const { backingName, backingFormat, virtualSizeBytes } = header;
  const { name = null, format = null } = image.backing ?? {};
  const found = [backingName, backingFormat, virtualSizeBytes].join(', ');
  const wanted = [name, format, image.virtualSizeBytes].join(', ');
  return found === wanted ? null : `its header has ${found}, not ${wanted}`;
}

const mapped = z.array(z.object({ present: z.boolean() })).min(1);

/** QEMU allocates the first block of a raw file (32 KiB), and a file system some for attributes. */
const RAW_BYTES = 2 ** 20;

/**
 * Whether an image holds nothing of its own: neither a guest nor a mirror has written to it. What
 * it stands on is not opened, as it may be gone.
 */
export async function isStillEmpty(
  path: string,
  format: EmptyImage['format'] = 'qcow2',
): Promise<boolean> {
  if (format === 'raw') return ((await observeFile(path))?.allocatedBytes ?? 0) < RAW_BYTES;
  const alone = { driver: 'qcow2', backing: null, file: { driver: 'file', filename: path } };
  const args = ['map', '-U', '--output=json', `json:${JSON.stringify(alone)}`];
  const text = await run('qemu-img', args, await reading([path]));
  const all = parseJsonReply(mapped, `qemu-img map of ${path}`, text);
  return !all.some(({ present }) => present);
}
