/** Layers of a guest that is used for several merges in turn. */
import { join } from 'node:path';
import { markLayer } from './layer-marks.ts';
import type { Scene } from '../../scenes/merge-scene.ts';
import { takeExternalSnapshot } from './snapshots.ts';

let layers = 0;

/**
 * Takes a snapshot of the running guest, marks the new layer, and lets the guest write over every
 * slot. Returns the layer's path.
 */
export async function addLayer({ guest, pool }: Scene, name?: string): Promise<string> {
  const file = join(pool, `${guest.name}-layer${++layers}.qcow2`);
  await takeExternalSnapshot(guest.host, guest.name, { file, ...(name ? { name } : {}) });
  await markLayer(guest);
  await guest.waitForAcks(guest.disk.parameters.slots + 1, 60_000);
  return file;
}
