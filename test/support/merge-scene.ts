/** A running guest with layers, in a pool of a whole system: what most tests of a merge begin with. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createGuestDisk } from './guest-disk.ts';
import type { GuestParameters } from './guest-sector.ts';
import { defineGuest, type Guest } from './guest.ts';
import { expectNoLoss, verifyGuestData } from './oracle.ts';
import { takeExternalSnapshot } from './snapshots.ts';
import { startSystem, type System, type SystemOptions } from './system.ts';

export interface Scene {
  system: System;
  guest: Guest;
  pool: string;
  /** Paths of the chain, base-most first. */
  chain: string[];
  /** Names in the pool's folder, sorted. */
  files(): Promise<string[]>;
  /** Stops the VM by SIGKILL of QEMU and checks every acknowledged write through the chain that it would boot. */
  verifyAfterCrash(): Promise<number>;
  close(): Promise<void>;
}

export interface SceneOptions extends SystemOptions {
  /** Snapshots taken while the guest runs, default 1; each layer gets guest writes over every slot. */
  layers?: number;
  /** Gives libvirt snapshots these names; without names none has metadata. */
  snapshotNames?: readonly string[];
  vm?: string;
  format?: 'qcow2' | 'raw';
  guest?: Partial<GuestParameters>;
}

export const POOL = 'images';

/** Starts the system and a guest `web1`, takes the snapshots, and lets the guest write into each layer. */
export async function startScene(options: SceneOptions = {}): Promise<Scene> {
  const system = await startSystem({ ...options, roles: [] });
  const { host } = system;
  const pool = await host.definePool(POOL);
  // The SPM agent serves the pools that it finds, so it starts when there is one.
  const roles = options.roles ?? (['orchestrator', 'host', 'spm'] as const);
  const started = Promise.all(roles.map((r) => system.startRole(r, options.faults?.[r])));
  const format = options.format ?? 'qcow2';
  const base = join(pool, `base.${format}`);
  const disk = await createGuestDisk(base, { format, ...options.guest });
  const guest = await defineGuest(host, { name: options.vm ?? 'web1', disk });
  await guest.start();
  const chain = [base];
  for (let layer = 1; layer <= (options.layers ?? 1); layer++) {
    // At least one write a slot in each layer, so that a rollback of it cannot stay unseen.
    await guest.waitForAcks(disk.parameters.slots + 1, 60_000);
    const file = join(pool, `snap${layer}.qcow2`);
    const name = options.snapshotNames?.[layer - 1];
    await takeExternalSnapshot(host, guest.name, { file, ...(name ? { name } : {}) });
    chain.push(file);
  }
  await guest.waitForAcks(disk.parameters.slots + 1, 60_000);
  await started;
  return {
    system,
    guest,
    pool,
    chain,
    files: async () => (await readdir(pool)).sort(),
    verifyAfterCrash: () => verifyAfterCrash(guest),
    close: () => system.close(),
  };
}

async function verifyAfterCrash(guest: Guest): Promise<number> {
  const { host, name } = guest;
  if ((await host.virsh('domstate', name)).trim() !== 'shut off') await guest.kill();
  const acknowledged = guest.acknowledged();
  const { path, format } = await activeLayer(guest);
  const report = await verifyGuestData({
    imagePath: path,
    format,
    acknowledged,
    parameters: guest.disk.parameters,
  });
  expectNoLoss(report, guest.serial);
  return acknowledged;
}

/** The volume that the persistent XML would boot. */
export async function activeLayer(guest: Guest): Promise<{ path: string; format: 'qcow2' | 'raw' }> {
  const xml = await guest.host.virsh('dumpxml', guest.name, '--inactive');
  const disk = xml.slice(xml.indexOf('<disk'), xml.indexOf('</disk>'));
  const path = /<source file='([^']*)'/.exec(disk)?.[1] ?? '';
  return { path, format: disk.includes("type='raw'") ? 'raw' : 'qcow2' };
}
