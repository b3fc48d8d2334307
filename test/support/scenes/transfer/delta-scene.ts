/** A guest on an overlay that holds much more than the guest itself writes. */
import { join } from 'node:path';
import { createGuestDisk } from '../../guest/disks/guest-disk.ts';
import { defineGuest } from '../../guest/guest.ts';
import { asScene, POOL, type Scene } from '../merge-scene.ts';
import { createOverlay, growOverlay } from '../../guest/disks/snapshots.ts';
import type { System } from '../../host/system.ts';

const VIRTUAL_SIZE_BYTES = 64 * 2 ** 20;

interface Delta {
  vm: string;
  /** That base lacks. */
  bytes: number;
  /** Of another pool. */
  baseFolder?: string;
  overlayFolder?: string;
}

export async function startDeltaScene(
  system: System,
  { vm, bytes, ...folders }: Delta,
): Promise<Scene> {
  const { host } = system;
  const pool = join(host.pools, POOL);
  const { baseFolder = pool, overlayFolder = pool } = folders;
  const base = await createGuestDisk(join(baseFolder, `${vm}.qcow2`), {
    format: 'qcow2',
    virtualSizeBytes: VIRTUAL_SIZE_BYTES,
  });
  const overlay = await createOverlay(join(overlayFolder, `${vm}-snap1.qcow2`), base);
  await growOverlay(overlay, { bytes });
  const guest = await defineGuest(host, { name: vm, disk: overlay });
  const scene = asScene(system, guest, [base.path, overlay.path]);
  await guest.start();
  await guest.waitForAcks(base.parameters.slots + 1, 60_000);
  return scene;
}
