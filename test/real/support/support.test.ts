/** The test harness itself: a private host, the guest that writes, the judge of its data. */
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { execa } from 'execa';

import { createGuestDisk } from '../../support/guest/disks/guest-disk.ts';
import {
  generationDueIn,
  guestParameters,
  sectorOf,
  slotOf,
} from '../../support/guest/guest-sector.ts';
import { defineGuest } from '../../support/guest/guest.ts';
import { processesOf } from '../../support/host/host-folder.ts';
import { checkGuestData, expectNoLoss, verifyGuestData } from '../../support/guest/oracle.ts';
import {
  type PrivateHost,
  reapStaleHosts,
  startPrivateHost,
} from '../../support/host/private-host.ts';
import { isAlive } from '../../support/host/processes.ts';
import {
  createOverlay,
  growOverlay,
  takeExternalSnapshot,
} from '../../support/guest/disks/snapshots.ts';
import { waitUntil } from '../../support/wait-until.ts';

let host: PrivateHost;
let pool: string;

beforeEach(async () => {
  host = await startPrivateHost({ name: 'support' });
  pool = await host.definePool('images');
});

afterEach(async () => {
  await host.close();
});

async function newGuest(name: string, options = {}) {
  const disk = await createGuestDisk(join(pool, `${name}.qcow2`), { format: 'qcow2', ...options });
  return await defineGuest(host, { name, disk });
}

test('a private host starts, is empty, and leaves nothing behind', async () => {
  const other = await startPrivateHost({ name: 'other' });
  const shared = await other.definePool('images', pool);
  expect(shared).toBe(pool);
  const guest = await newGuest('vm');
  await guest.start();
  const disk = await createGuestDisk(join(shared, 'other.qcow2'), { format: 'qcow2' });
  const guestOfOther = await defineGuest(other, { name: 'other', disk });
  await guestOfOther.start();
  expect((await host.virsh('list', '--all', '--name')).trim()).toBe('vm');
  expect((await other.virsh('list', '--all', '--name')).trim()).toBe('other');
  expect(processesOf(host.root)).not.toContain(other.qemuPid('other'));
  await other.close();
  expect(existsSync(other.root)).toBe(false);
  expect(processesOf(other.root)).toEqual([]);
  expect(isAlive(host.libvirtdPid())).toBe(true);
  await guest.waitForAcks(5);
});

test('the guest boots from its disk and acknowledges what it writes', async () => {
  const guest = await newGuest('vm', { writesPerSecond: 0 });
  await guest.start();
  const first = await guest.waitForAcks(100);
  const began = performance.now();
  const last = await guest.waitForAcks(1_000);
  const rate = (1_000 * (last - first)) / (performance.now() - began);
  process.stdout.write(`unpaced guest: ${rate.toFixed(0)} acknowledged writes/s\n`);
  await guest.kill();
  expect(guest.serial.mismatches).toEqual([]);
  expect(guest.serial.writeErrors).toEqual([]);
});

test('kill -9 of QEMU loses no acknowledged write, boot after boot', async () => {
  const guest = await newGuest('vm', { writesPerSecond: 0, sectorsPerWrite: 8, slots: 64 });
  for (let boot = 0; boot < 4; boot += 1) {
    await guest.start();
    await guest.waitForAcks(60);
    await guest.kill();
    const report = await verifyGuestData({
      imagePath: guest.disk.path,
      format: guest.disk.format,
      parameters: guest.disk.parameters,
      acknowledged: guest.acknowledged(),
    });
    expectNoLoss(report, guest.serial);
    expect(report.verified).toBe(Math.min(64, guest.acknowledged()));
  }
  expect(guest.serial.boots).toHaveLength(4);
});

test('the oracle and the guest itself catch an overlay that was rolled back', async () => {
  const guest = await newGuest('vm');
  const { path, parameters, format } = guest.disk;
  await guest.start();
  await guest.waitForAcks(50);
  const overlay = join(pool, 'overlay.qcow2');
  await takeExternalSnapshot(host, 'vm', { file: overlay });
  await guest.waitForAcks(50);
  await guest.kill();
  const acknowledged = guest.acknowledged();
  const whole = await verifyGuestData({ imagePath: overlay, format, parameters, acknowledged });
  expectNoLoss(whole, guest.serial);
  const base = await verifyGuestData({ imagePath: path, format, parameters, acknowledged });
  expect(base.lost.length).toBeGreaterThan(40);
  expect(base.torn).toEqual([]);
  expect(() => expectNoLoss(base)).toThrow(/lost: slot \d+ sector 0 has \d+, due is/);
  // Boot the stale base and let it write past the loss: the disk looks whole, its serial not.
  await host.virsh('undefine', 'vm');
  const stale = await defineGuest(host, { name: 'vm', disk: guest.disk });
  await stale.start();
  const later = await stale.waitForAcks(60);
  await stale.kill();
  const covered = await verifyGuestData({
    imagePath: path,
    format,
    parameters,
    acknowledged: later,
  });
  expect(covered.lost).toEqual([]);
  expect(() => expectNoLoss(covered, stale.serial)).toThrow(/boot 2 found \d+, but \d+ was ack/);
});

test('the oracle catches a stale overlay that is opened after its merge', async () => {
  const guest = await newGuest('vm', { writesPerSecond: 0, strideSectors: 8 });
  const { path, parameters, format } = guest.disk;
  await guest.start();
  const overlay = join(pool, 'overlay.qcow2');
  await takeExternalSnapshot(host, 'vm', { file: overlay });
  await guest.waitForAcks(parameters.slots);
  await host.virsh('blockcommit', 'vm', 'vda', '--active', '--wait', '--pivot');
  await guest.waitForAcks(20);
  await guest.kill();
  const acknowledged = guest.acknowledged();
  const merged = await verifyGuestData({ imagePath: path, format, parameters, acknowledged });
  expectNoLoss(merged, guest.serial);
  const stale = await verifyGuestData({ imagePath: overlay, format, parameters, acknowledged });
  expect(stale.lost.length).toBeGreaterThanOrEqual(20);
});

test('the guest itself reports data that changed behind its back', async () => {
  const disk = await createGuestDisk(join(pool, 'vm.raw'), {
    format: 'raw',
    slots: 16,
    readBackEvery: 1,
    writesPerSecond: 100,
  });
  const { strideSectors, regionStartSector } = disk.parameters;
  const guest = await defineGuest(host, { name: 'vm', disk });
  await guest.start();
  await guest.waitForAcks(20);
  const image = await open(disk.path, 'r+');
  const spoil = async () => {
    for (let slot = 0; slot < 16; slot += 1) {
      await image.write('spoilt', (regionStartSector + slot * strideSectors) * 512 + 100);
    }
  };
  await waitUntil('the guest to read spoilt data', async () => {
    await spoil();
    return guest.serial.mismatches.length > 0;
  });
  await guest.kill();
  await spoil();
  await image.close();
  await guest.start();
  expect(guest.serial.boots.at(-1)?.badSectors).toBeGreaterThan(0);
  await guest.kill();
});

test('a private host has nothing of what is defined on the machine', async () => {
  const namesOf = async (list: string) =>
    (await host.virsh(list, '--all', '--name')).split(/\s+/).filter(Boolean);
  const lists = await Promise.all(['list', 'net-list', 'pool-list'].map(namesOf));
  expect(lists).toEqual([[], [], ['images']]);
});

test('libvirtd can be killed and started again while the guest goes on writing', async () => {
  const guest = await newGuest('vm');
  await guest.start();
  await host.killLibvirtd();
  expect(() => host.libvirtdPid()).toThrow('does not run');
  const qemu = host.qemuPid('vm');
  await guest.waitForAcks(20);
  await host.startLibvirtd();
  expect(await host.virsh('domstate', 'vm')).toContain('running');
  await host.restart();
  expect(await host.virsh('pool-list', '--name')).toContain('images');
  expect(host.qemuPid('vm')).toBe(qemu);
  await guest.waitForAcks(20);
});

test('a host whose owner was killed is reaped with its guest, and no other', async () => {
  const support = (file: string) => new URL(`../../support/${file}.ts`, import.meta.url).href;
  const script = `
    const { startPrivateHost } = await import('${support('host/private-host')}');
    const { createGuestDisk } = await import('${support('guest/disks/guest-disk')}');
    const { defineGuest } = await import('${support('guest/guest')}');
    const host = await startPrivateHost({ root: process.argv[1], name: 'stale' });
    const disk = await createGuestDisk(process.argv[2], { format: 'qcow2' });
    await (await defineGuest(host, { name: 'stale', disk })).start();
    await host.killLibvirtd();
    console.log(host.root);
    setInterval(() => {}, 1000);`;
  const parent = join(host.root, 'hosts');
  const disk = join(pool, 'stale.qcow2');
  const owner = execa(process.execPath, ['--input-type=module', '-e', script, parent, disk], {
    reject: false,
  });
  let said = '';
  owner.stdout.on('data', (text) => (said += text));
  const root = (
    await waitUntil('the other owner to start its host', () => said.endsWith('\n') && said)
  ).trim();
  const guest = await newGuest('vm');
  await guest.start();
  const stale = processesOf(root);
  expect(stale.length).toBe(2); // the first process, and QEMU
  expect(await reapStaleHosts(parent)).toEqual([]);
  owner.kill('SIGKILL');
  await owner;
  expect(await reapStaleHosts(parent)).toEqual([root]);
  expect(stale.filter((pid) => isAlive(pid))).toEqual([]);
  expect(existsSync(root)).toBe(false);
  await guest.waitForAcks(5);
});

test('an overlay can be grown to a size, and the guest boots from it', async () => {
  const below = await createGuestDisk(join(pool, 'base.qcow2'), {
    format: 'qcow2',
    virtualSizeBytes: 512 * 2 ** 20,
  });
  const overlay = await createOverlay(join(pool, 'overlay.qcow2'), below);
  await growOverlay(overlay, { bytes: 256 * 2 ** 20 });
  const guest = await defineGuest(host, { name: 'vm', disk: overlay });
  await guest.start();
  const bytes = Number(
    /Allocation:\s+(\d+)/.exec(await host.virsh('domblkinfo', 'vm', 'vda'))?.[1],
  );
  expect(bytes).toBeGreaterThanOrEqual(256 * 2 ** 20);
  await guest.waitForAcks(5);
});

test('the rule allows the write under way, and nothing else', () => {
  const p = guestParameters({ slots: 16, strideSectors: 1 });
  const disk = (latest: number) =>
    Buffer.concat(
      Array.from({ length: 16 }, (_, slot) => {
        const due = generationDueIn(p, slot, latest);
        return due === 0 ? Buffer.alloc(512) : sectorOf(p, slot, due, 0);
      }),
    );
  expect(checkGuestData(disk(40), p, 40)).toMatchObject({ verified: 16, lost: [], torn: [] });
  expect(checkGuestData(disk(41), p, 40)).toMatchObject({ newest: 41, lost: [], torn: [] });
  expect(checkGuestData(disk(42), p, 40).torn).toHaveLength(1);
  expect(checkGuestData(disk(39), p, 40).lost).toHaveLength(1);
  expect(checkGuestData(disk(5), p, 5)).toMatchObject({ verified: 5, lost: [], torn: [] });
  const flipped = disk(40);
  flipped[slotOf(p, 33) * 512 + 300]! ^= 1;
  expect(checkGuestData(flipped, p, 40).torn).toEqual([
    { slot: slotOf(p, 33), sector: 0, due: 33, found: undefined },
  ]);
});
