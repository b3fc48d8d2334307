/** Disks that the test guest boots from. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { execa } from 'execa';

import {
  type GuestParameters,
  GUEST_IMAGE_BYTES,
  guestParameters,
  parametersOfDisk,
  patchParameters,
  regionEndBytes,
} from '../guest-sector.ts';

export type ImageFormat = 'qcow2' | 'raw';

export interface GuestDiskOptions extends Partial<GuestParameters> {
  readonly format: ImageFormat;
  /** Default: as large as the slots need, and 1 MiB. */
  readonly virtualSizeBytes?: number;
  /** More `-o` options of qemu-img create, such as `cluster_size=4096`. */
  readonly createOptions?: readonly string[];
}

export interface GuestDisk {
  readonly path: string;
  readonly format: ImageFormat;
  readonly virtualSizeBytes: number;
  readonly parameters: GuestParameters;
}

let assembled: Promise<Buffer> | undefined;

/** Creates an image with the guest on it, ready to boot. Throws if it is too small. */
export async function createGuestDisk(path: string, options: GuestDiskOptions): Promise<GuestDisk> {
  const { format, virtualSizeBytes: wantedBytes, createOptions = [], ...given } = options;
  const parameters = guestParameters(given);
  const neededBytes = regionEndBytes(parameters);
  const virtualSizeBytes = wantedBytes ?? neededBytes + 2 ** 20;
  if (virtualSizeBytes < neededBytes) {
    throw new RangeError(`${path} of ${virtualSizeBytes} bytes: the slots need ${neededBytes}`);
  }
  const disk = { path, format, virtualSizeBytes, parameters };
  await createDisk(disk, createOptions);
  await writeGuest(path, format, parameters);
  return disk;
}

/** Creates an empty disk for the guest of `first`: its vdb is number 1. */
export async function createFurtherDisk(
  path: string,
  first: GuestDisk,
  number: number,
): Promise<GuestDisk> {
  const disk = { ...first, path, parameters: parametersOfDisk(first.parameters, number) };
  await createDisk(disk);
  return disk;
}

async function createDisk(disk: GuestDisk, options: readonly string[] = []): Promise<void> {
  const more = options.flatMap((option) => ['-o', option]);
  const size = `${disk.virtualSizeBytes}`;
  await execa('qemu-img', ['create', '-q', '-f', disk.format, ...more, disk.path, size]);
}

async function writeGuest(path: string, format: string, p: GuestParameters): Promise<void> {
  assembled ??= assemble();
  const image = Buffer.from(await assembled);
  patchParameters(image, p);
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-guest-'));
  try {
    const file = join(folder, 'guest.bin');
    await writeFile(file, image);
    // Of qemu-io's commands only this writes a given content into any format.
    await qemuIo(path, format, [`write -q -s ${file} 0 ${GUEST_IMAGE_BYTES}`]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Runs qemu-io commands on an image that no process has open. Throws when one of them fails. */
export async function qemuIo(
  path: string,
  format: string,
  commands: readonly string[],
  cache = 'writeback',
): Promise<void> {
  const args = commands.flatMap((command) => ['-c', command]);
  await execa('qemu-io', ['-t', cache, '-f', format, ...args, path]);
}

async function assemble(): Promise<Buffer> {
  const sources = fileURLToPath(new URL('../program/', import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-guest-'));
  try {
    const binary = join(folder, 'guest.bin');
    await execa('nasm', ['-f', 'bin', '-i', sources, '-o', binary, join(sources, 'guest.asm')]);
    return await readFile(binary);
  } finally {
    await rm(folder, { recursive: true });
  }
}
