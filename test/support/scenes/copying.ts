/** A merge that copies for as long as a test wants it to. */
import type { Scene } from './merge-scene.ts';
import { waitUntil } from '../wait-until.ts';

/** Slow enough that a copy of some MiB does not end by itself within a test. */
export const SLOW = 65_536;

/**
 * Of a disk whose mirror is to last, whatever its limit: QEMU copies 16 MiB before that holds it
 * back, and 16 MiB more each time the guest is suspended (docs/lab/qemu.md).
 */
export const LASTING = { bytes: 8 * 16 * 2 ** 20 };

/** Waits until the block job runs in QEMU. */
export async function untilCopying({ system, guest }: Scene): Promise<void> {
  await waitUntil(`the block job of ${guest.name}`, () => hasJob(system, guest.name), {
    timeoutMs: 30_000,
  });
}

/** True while a block job of its vda runs. */
export async function hasJob(system: Scene['system'], vm: string): Promise<boolean> {
  return (await system.host.virsh('blockjob', vm, 'vda', '--raw')).includes('type=');
}
