/** Chains for tests: snapshots of a running VM, and overlays of a wanted size. */
import { execa } from 'execa';

import { type GuestDisk, type ImageFormat, qemuIo } from './guest-disk.ts';
import { regionEndBytes } from '../guest-sector.ts';
import type { PrivateHost } from '../../host/private-host.ts';

export interface ExternalSnapshot {
  /** Default vda. */
  readonly disk?: string;
  /** The VM's other disks: libvirt takes a snapshot of each one that is not mentioned. */
  readonly leftOut?: readonly string[];
  /** The new active layer; libvirt creates it. */
  readonly file: string;
  /** `file` is there already, with a delta and the right backing file (`createOverlay`). */
  readonly reuse?: boolean;
  /** With a name libvirt keeps metadata of the snapshot, without one it does not. */
  readonly name?: string;
}

/** Takes a disk-only snapshot of a running or shut off VM: `file` becomes the active layer. */
export async function takeExternalSnapshot(
  host: PrivateHost,
  vm: string,
  { disk = 'vda', leftOut = [], file, name, reuse }: ExternalSnapshot,
): Promise<void> {
  await host.virsh(
    'snapshot-create-as',
    vm,
    ...(name === undefined ? ['--no-metadata'] : ['--name', name]),
    '--disk-only',
    '--atomic',
    ...(reuse ? ['--reuse-external'] : []),
    '--diskspec',
    `${disk},snapshot=external,file=${file}`,
    ...leftOut.flatMap((other) => ['--diskspec', `${other},snapshot=no`]),
  );
}

/** Puts an empty qcow2 overlay at `path` over a disk; VM off. Returns the disk to boot from. */
export async function createOverlay(path: string, below: GuestDisk): Promise<GuestDisk> {
  const format: ImageFormat = 'qcow2';
  await execa('qemu-img', [
    'create',
    '-q',
    '-f',
    format,
    '-F',
    below.format,
    '-b',
    below.path,
    path,
  ]);
  return { ...below, path, format };
}

export interface OverlayGrowth {
  readonly bytes: number;
  /** Byte that the data consists of, default 0x5a. */
  readonly pattern?: number;
  /** Default: right behind the guest's slots. */
  readonly offsetBytes?: number;
}

/**
 * Makes the delta of a layer `bytes` larger, outside of the guest's slots; VM off.
 * About 2-4 s for 1 GiB. Throws if the disk is too small.
 */
export async function growOverlay(layer: GuestDisk, growth: OverlayGrowth): Promise<void> {
  const { bytes, pattern = 0x5a, offsetBytes = regionEndBytes(layer.parameters) } = growth;
  if (offsetBytes + bytes > layer.virtualSizeBytes) {
    throw new RangeError(
      `${layer.path}: ${bytes} bytes from ${offsetBytes} on do not fit into ` +
        `${layer.virtualSizeBytes}`,
    );
  }
  const pieceBytes = 32 * 2 ** 20;
  const commands: string[] = [];
  for (let done = 0; done < bytes; done += pieceBytes) {
    const length = Math.min(pieceBytes, bytes - done);
    commands.push(`write -q -P ${pattern} ${offsetBytes + done} ${length}`);
  }
  await qemuIo(layer.path, layer.format, commands, 'unsafe');
}
