/** What the demo plays on. Everything is real: libvirtd, QEMU, Temporal, images on disk. */
import { join } from 'node:path';
import { createGuestDisk } from '../support/guest/disks/guest-disk.ts';
import { regionEndBytes } from '../support/guest/guest-sector.ts';
import { defineGuest, type Guest } from '../support/guest/guest.ts';
import {
  createOverlay,
  growOverlay,
  takeExternalSnapshot,
} from '../support/guest/disks/snapshots.ts';
import { startSystem, type System } from '../support/host/system.ts';
import type { Story } from './story.ts';

export const VM = 'web1';
export const DISK = 'vda';
export const SNAPSHOT = 'before-upgrade';
export const POOL = 'images';
/** The pool to which the disk moves, and from which it moves back. */
export const POOL_AFTER = 'archive';
export const DELTA_BYTES = 320 * 2 ** 20;
export const DELTA_PATTERN = 0x5a;

export interface Stage {
  system: System;
  guest: Guest;
  /** Paths, base-most first. */
  chain: readonly [base: string, overlay: string];
  /** Where the 320 MiB stand on the disk. */
  deltaOffsetBytes: number;
}

/**
 * All processes, and a VM that writes into its base. The layer of the snapshot is made, with its
 * delta, but not in use yet.
 */
export async function setStage(story: Story): Promise<Stage> {
  const system = await startSystem({ roles: [], name: 'demo', onDisk: true });
  const { host, temporal } = system;
  story.step(
    `A private libvirt host is up (its own libvirtd; yours is not touched), and a Temporal server.`,
  );
  story.more(`virsh -c '${host.uri}'`);
  story.more(`Temporal ${temporal.address}, Web UI ${temporal.uiUrl}`);
  // The SPM agent serves the pools that it finds, so it starts when there is one.
  const pool = await host.definePool(POOL);
  await host.definePool(POOL_AFTER);
  const [stage] = await Promise.all([startGuest(system, pool), startRoles(system)]);
  story.step(
    `VM ${VM} runs (QEMU ${host.qemuPid(VM)}). It stamps and writes sectors all the time,`,
  );
  story.more('and says on its serial port which of them its disk has acknowledged.');
  const [orchestrator, agent, spm] = ROLES.map((role) => `pid ${system.rolePid(role)}`);
  story.step('Three processes of blockflow are up:');
  story.more(`orchestrator (${orchestrator}), host agent (${agent}), SPM agent (${spm}).`);
  return stage;
}

const ROLES = ['orchestrator', 'host', 'spm'] as const;

async function startRoles(system: System): Promise<void> {
  await Promise.all(ROLES.map((role) => system.startRole(role)));
}

async function startGuest(system: System, pool: string): Promise<Stage> {
  const { host } = system;
  const chain = [join(pool, `${VM}.qcow2`), join(pool, `${VM}-${SNAPSHOT}.qcow2`)] as const;
  const disk = await createGuestDisk(chain[0], { format: 'qcow2', virtualSizeBytes: 2 ** 30 });
  const deltaOffsetBytes = regionEndBytes(disk.parameters);
  const overlay = await createOverlay(chain[1], disk);
  await growOverlay(overlay, { bytes: DELTA_BYTES, pattern: DELTA_PATTERN });
  const guest = await defineGuest(host, { name: VM, disk });
  await guest.start();
  await guest.waitForAcks(disk.parameters.slots);
  return { system, guest, chain, deltaOffsetBytes };
}

/**
 * Takes the snapshot under the running guest, and waits until the guest has rewritten all its
 * slots.
 */
export async function takeSnapshot(story: Story, { system, guest, chain }: Stage): Promise<void> {
  await takeExternalSnapshot(system.host, VM, { file: chain[1], name: SNAPSHOT, reuse: true });
  story.step(`Snapshot ${SNAPSHOT} is taken while the VM runs: a new layer takes all writes.`);
  await guest.waitForAcks(guest.disk.parameters.slots + 1);
  story.more(
    `It holds ${DELTA_BYTES / 2 ** 20} MiB of changes (laid into it before, to save time) ` +
      'and what the VM writes.',
  );
}
