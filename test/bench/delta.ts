/** A running guest on an overlay of a wanted size, again and again on the same base. */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createGuestDisk, type GuestDisk } from '../support/guest/disks/guest-disk.ts';
import { defineGuest, type Guest } from '../support/guest/guest.ts';
import { POOL } from '../support/scenes/merge-scene.ts';
import { createOverlay, growOverlay } from '../support/guest/disks/snapshots.ts';
import type { System } from '../support/host/system.ts';

const GIB = 2 ** 30;

export interface Delta {
  guest: Guest;
  base: GuestDisk;
  /** Overlays, lowest first. */
  overlays: string[];
}

/** @param writesPerSecond 1 is as good as idle for the job, 0 is as fast as the guest can. */
export function createDeltas(system: System, vm: string, writesPerSecond: number) {
  const pool = join(system.host.pools, POOL);
  let base: GuestDisk | null = null;
  let round = 0;
  // Defined again on each delta: libvirt wants the same one for that.
  const uuid = randomUUID();
  return async (layers: readonly number[]): Promise<Delta> => {
    await system.host.virsh('destroy', vm).catch(() => undefined);
    base ??= await createGuestDisk(join(pool, `${vm}.qcow2`), {
      format: 'qcow2',
      virtualSizeBytes: 3 * GIB,
      writesPerSecond,
    });
    round++;
    const overlays: string[] = [];
    let top = base;
    for (const [i, bytes] of layers.entries()) {
      top = await createOverlay(join(pool, `${vm}-${round}-${i}.qcow2`), top);
      await growOverlay(top, { bytes });
      overlays.push(top.path);
    }
    const guest = await defineGuest(system.host, { name: vm, uuid, disk: top });
    await guest.start(60_000);
    await guest.waitForAcks(1, 60_000);
    return { guest, base, overlays };
  };
}

/** What a person would type after `virsh blockcommit`. */
export const removeFiles = (paths: readonly string[]) => Promise.all(paths.map((path) => rm(path)));
