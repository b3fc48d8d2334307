/** A guest on an overlay that holds much more than the guest itself writes. */
import { join } from 'node:path';
import { createGuestDisk } from './guest-disk.ts';
import { defineGuest } from './guest.ts';
import { asScene, POOL, type Scene } from './merge-scene.ts';
import { createOverlay, growOverlay } from './snapshots.ts';
import type { System } from './system.ts';

const VIRTUAL_SIZE_BYTES = 64 * 2 ** 20;

/** @param options `bytes` that base lacks; `baseFolder` of another pool than the overlay's. */
export async function startDeltaScene(
  system: System,
  { vm, bytes, baseFolder }: { vm: string; bytes: number; baseFolder?: string },
): Promise<Scene> {
  const { host } = system;
  const pool = join(host.pools, POOL);
  const base = await createGuestDisk(join(baseFolder ?? pool, `${vm}.qcow2`), {
    format: 'qcow2',
    virtualSizeBytes: VIRTUAL_SIZE_BYTES,
  });
  const overlay = await createOverlay(join(pool, `${vm}-snap1.qcow2`), base);
  await growOverlay(overlay, { bytes });
  const guest = await defineGuest(host, { name: vm, disk: overlay });
  const scene = asScene(system, guest, [base.path, overlay.path]);
  await guest.start();
  await guest.waitForAcks(base.parameters.slots + 1, 60_000);
  return scene;
}
