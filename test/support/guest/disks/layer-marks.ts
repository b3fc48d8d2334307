/**
 * A mark in each layer that no other layer has, and that stays as it is. Without it the loss of
 * an inner layer stays unseen: the guest writes over each of its slots in the layers above.
 */
import { execa } from 'execa';
import { qemuIo } from './guest-disk.ts';
import type { Guest } from '../guest.ts';
import { regionEndBytes } from '../guest-sector.ts';

const MARK_BYTES = 4096;
/** One cluster each, in the last MiB of the disk, which neither guest nor growth touches. */
const STRIDE_BYTES = 65_536;
const PLACES = 16;
const BACKEND = '/machine/peripheral/virtio-disk0/virtio-backend';

/** Writes the next mark into vda of a running VM, as its guest would; flushed. */
export async function markLayer({ host, name, disk, marks }: Guest): Promise<void> {
  const start = disk.virtualSizeBytes - PLACES * STRIDE_BYTES;
  if (start < regionEndBytes(disk.parameters)) throw new RangeError(`${name}: no room for marks`);
  const count = marks.written++;
  const at = start + (count % PLACES) * STRIDE_BYTES;
  const pattern = 1 + (count % 255);
  const write = `qemu-io -d ${BACKEND} "write -f -P ${pattern} ${at} ${MARK_BYTES}"`;
  const said = await host.virsh('qemu-monitor-command', name, '--hmp', write);
  // What it has done goes to QEMU's log, only errors come here.
  if (said.trim() !== '') throw new Error(`${write}: ${said}`);
  marks.standing.set(at, pattern);
}

/** Throws when the image, through its chain, lacks one of the guest's marks. */
export async function expectMarks(guest: Guest, path: string, format: string): Promise<void> {
  const { standing } = guest.marks;
  if (standing.size === 0) return;
  const reads = [...standing].map(([at, pattern]) => `read -P ${pattern} ${at} ${MARK_BYTES}`);
  const commands = reads.flatMap((read) => ['-c', read]);
  const args = ['-U', '-r', '-f', format, ...commands, path];
  const { failed, stdout, stderr } = await execa('qemu-io', args, { reject: false });
  if (failed) throw new Error(`${path} lacks marks of its layers:\n${stdout}${stderr}`);
}

/** Overwrites the guest's marks in one of its layers that no process has open. */
export async function spoilMarks({ disk, marks }: Guest, path: string): Promise<void> {
  const writes = [...marks.standing.keys()].map((at) => `write -q -P 0 ${at} ${MARK_BYTES}`);
  await qemuIo(path, disk.format, writes, 'writeback');
}
