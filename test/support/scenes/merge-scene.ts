/**
 * A running guest with layers, in a pool of a whole system: what most tests of a merge begin with.
 */
import { dirname, join } from 'node:path';
import { createGuestDisk } from '../guest/disks/guest-disk.ts';
import type { GuestParameters } from '../guest/guest-sector.ts';
import { expectGuestData } from '../guest/guest-data.ts';
import { defineGuest, type Guest } from '../guest/guest.ts';
import { markLayer } from '../guest/disks/layer-marks.ts';
import { OWN_FOLDER } from '../../../activities/pool-folder/own-folder.ts';
import { poolFiles } from './pool-files.ts';
import { takeExternalSnapshot } from '../guest/disks/snapshots.ts';
import type { PrivateHost } from '../host/private-host.ts';
import { startSystem, type System, type SystemOptions } from '../host/system.ts';

export interface Scene {
  system: System;
  guest: Guest;
  pool: string;
  /** Paths of the chain, base-most first. */
  chain: string[];
  /**
   * Names of this guest's files in the pool's folder, sorted; also what is in `.blockflow` there.
   */
  files(): Promise<string[]>;
  /**
   * Stops the VM by SIGKILL of QEMU and checks every acknowledged write through the chain that it
   * would boot.
   */
  verifyAfterCrash(): Promise<number>;
  close(): Promise<void>;
}

export interface SceneOptions extends SystemOptions {
  /**
   * A system of `startSharedSystem`, for tests that kill none of its processes; else the scene has
   * its own.
   */
  system?: System;
  /**
   * Snapshots taken while the guest runs, default 1; each layer gets guest writes over every slot.
   */
  layers?: number;
  /** Gives libvirt snapshots these names; without names none has metadata. */
  snapshotNames?: readonly string[];
  vm?: string;
  format?: 'qcow2' | 'raw';
  guest?: Partial<GuestParameters> & { virtualSizeBytes?: number };
}

export const POOL = 'images';

interface SharedSystemOptions extends SystemOptions {
  /** Defines further pools before any agent starts, which finds a later one within 5 s. */
  prepare?: (host: PrivateHost) => Promise<unknown>;
}

/** A system with a pool, for several scenes. */
export async function startSharedSystem(options: SharedSystemOptions = {}): Promise<System> {
  const system = await startSystem({ ...options, roles: [] });
  try {
    await system.host.definePool(POOL);
    await options.prepare?.(system.host);
    // The SPM agent serves the pools that it finds, so it starts when there is one.
    const roles = options.roles ?? (['orchestrator', 'host', 'spm'] as const);
    await Promise.all(roles.map((role) => system.startRole(role, options.faults?.[role])));
    return system;
  } catch (error) {
    await system.close();
    throw error;
  }
}

/** Starts a guest, takes the snapshots, and lets the guest write over every slot of each layer. */
export async function startScene(options: SceneOptions = {}): Promise<Scene> {
  const system = options.system ?? (await startSharedSystem(options));
  const { host } = system;
  const pool = join(host.pools, POOL);
  const vm = options.vm ?? 'web1';
  const format = options.format ?? 'qcow2';
  const base = join(pool, `${vm}.${format}`);
  const disk = await createGuestDisk(base, { format, ...options.guest });
  const guest = await defineGuest(host, { name: vm, disk });
  await guest.start();
  const chain = [base];
  for (let layer = 1; layer <= (options.layers ?? 1); layer++) {
    // At least one write a slot in each layer, so that a rollback of it cannot stay unseen.
    await guest.waitForAcks(disk.parameters.slots + 1, 60_000);
    const file = join(pool, `${vm}-snap${layer}.qcow2`);
    const name = options.snapshotNames?.[layer - 1];
    await takeExternalSnapshot(host, vm, { file, ...(name ? { name } : {}) });
    await markLayer(guest);
    chain.push(file);
  }
  await guest.waitForAcks(disk.parameters.slots + 1, 60_000);
  const scene = asScene(system, guest, chain);
  return options.system ? scene : { ...scene, close: () => system.close() };
}

/** A running guest of a shared system, as a scene. */
export function asScene(system: System, guest: Guest, chain: string[]): Scene {
  const pool = join(system.host.pools, POOL);
  const folders = [...new Set(chain.map((path) => dirname(path)))];
  const ours =
    ({ name: vm }: Guest) =>
    (name: string) =>
      name.startsWith(`${vm}.`) || name.startsWith(`${vm}-`) || name.startsWith(OWN_FOLDER);
  return {
    system,
    guest,
    pool,
    chain,
    files: async () => {
      const names = await Promise.all(folders.map(poolFiles));
      return names.flat().filter(ours(guest)).sort();
    },
    verifyAfterCrash: () => verifyAfterCrash(guest),
    close: async () => void (await system.host.virsh('destroy', guest.name).catch(() => undefined)),
  };
}

async function verifyAfterCrash(guest: Guest): Promise<number> {
  const { host, name } = guest;
  if ((await host.virsh('domstate', name)).trim() !== 'shut off') await guest.kill();
  return expectGuestData(guest, await activeLayer(guest));
}

/** The volume that the persistent XML would boot. */
export async function activeLayer(
  guest: Guest,
): Promise<{ path: string; format: 'qcow2' | 'raw' }> {
  const xml = await guest.host.virsh('dumpxml', guest.name, '--inactive');
  const disk = xml.slice(xml.indexOf('<disk'), xml.indexOf('</disk>'));
  const path = unescape(/<source file='([^']*)'/.exec(disk)?.[1] ?? '');
  // The backing store's format stands in the element too.
  return { path, format: /<driver [^>]*type='raw'/.test(disk) ? 'raw' : 'qcow2' };
}

const unescape = (text: string) =>
  text
    .replaceAll('&apos;', "'")
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
