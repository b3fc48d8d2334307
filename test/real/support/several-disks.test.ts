/** The guest that writes to several disks in order, and the judge of cuts over all of them. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createFurtherDisk, createGuestDisk } from '../../support/guest/disks/guest-disk.ts';
import { expectGuestData, expectOneCut } from '../../support/guest/guest-data.ts';
import { defineGuest, type Guest } from '../../support/guest/guest.ts';
import { isOneCut } from '../../support/guest/oracle.ts';
import { takeExternalSnapshot } from '../../support/guest/disks/snapshots.ts';
import { type PrivateHost, startPrivateHost } from '../../support/host/private-host.ts';

let host: PrivateHost;
let pool: string;

beforeEach(async () => {
  host = await startPrivateHost({ name: 'several' });
  pool = await host.definePool('images');
});

afterEach(async () => {
  await host.close();
});

const images = (...names: string[]) =>
  names.map((name) => ({ path: join(pool, `${name}.qcow2`), format: 'qcow2' }));

/** A running guest with these disks, as fast as it goes. */
async function startGuest(...[first = '', ...further]: string[]): Promise<Guest> {
  const path = (name: string) => join(pool, `${name}.qcow2`);
  const options = { format: 'qcow2', slots: 16, writesPerSecond: 0 } as const;
  const disk = await createGuestDisk(path(first), { ...options, disks: further.length + 1 });
  const furtherDisks = await Promise.all(
    further.map((name, at) => createFurtherDisk(path(name), disk, at + 1)),
  );
  const guest = await defineGuest(host, { name: 'vm', disk, furtherDisks });
  await guest.start();
  await guest.waitForAcks(20);
  return guest;
}

/** Of one of the disks vda and vdb. */
const snapshot = (disk: string, name: string) =>
  takeExternalSnapshot(host, 'vm', {
    disk,
    leftOut: ['vda', 'vdb'].filter((other) => other !== disk),
    file: join(pool, `${name}.qcow2`),
  });

test('the guest writes to four disks, and kill -9 leaves one cut of them, each time', async () => {
  const disks = ['a', 'b', 'c', 'd'];
  const guest = await startGuest(...disks);
  for (let boot = 1; boot < 4; boot += 1) {
    await guest.kill();
    await expectGuestData(guest, ...images(...disks));
    await expectOneCut(guest, ...images(...disks));
    await guest.start();
    await guest.waitForAcks(20);
  }
  await guest.kill();
  expect(guest.serial.boots.map(({ further }) => further.length)).toEqual([3, 3, 3, 3]);
  expect(guest.serial.mismatches).toEqual([]);
});

test('a snapshot of all disks at once is one cut, of one after the other is none', async () => {
  const guest = await startGuest('a', 'b');
  const both = ['vda,file=a1', 'vdb,file=b1'].map((disk) => disk.replace('=', `=${pool}/`));
  const specs = both.flatMap((disk) => ['--diskspec', `${disk}.qcow2`]);
  const before = guest.acknowledged();
  await host.virsh('snapshot-create-as', 'vm', '--no-metadata', '--disk-only', ...specs);
  const after = await guest.waitForAcks(20);
  await snapshot('vda', 'a2');
  await guest.waitForAcks(5);
  await snapshot('vdb', 'b2');
  await guest.waitForAcks(20);
  await snapshot('vdb', 'b3');
  await guest.waitForAcks(5);
  await snapshot('vda', 'a3');
  await guest.waitForAcks(20);
  await guest.kill();
  const cut = await expectOneCut(guest, ...images('a', 'b'));
  expect(cut).toBeGreaterThanOrEqual(before);
  expect(cut).toBeLessThanOrEqual(after);
  const none = /several points in time:\n.*a\d.qcow2 has \d+\n.*b\d.qcow2 has \d+/;
  await expect(expectOneCut(guest, ...images('a1', 'b1'))).rejects.toThrow(none);
  await expect(expectOneCut(guest, ...images('a2', 'b2'))).rejects.toThrow(none);
  await expectGuestData(guest, ...images('a3', 'b3'));
});

test('a disk that is rolled back, or taken for the other, is found', async () => {
  const guest = await startGuest('a', 'b');
  await snapshot('vdb', 'b1');
  await guest.waitForAcks(40);
  await guest.kill();
  await expect(expectGuestData(guest, ...images('a', 'b'))).rejects.toThrow(/lost: slot/);
  await expect(expectGuestData(guest, ...images('b1', 'a'))).rejects.toThrow(/no whole sector/);
  await expect(expectGuestData(guest, ...images('a'))).rejects.toThrow('writes to 2 disks');
  await expectGuestData(guest, ...images('a', 'b1'));
  // Boot the stale vdb and let it write past the loss: the disks look whole, their serial does not.
  await host.virsh('undefine', 'vm');
  const [disk, ...furtherDisks] = guest.disks;
  const stale = await defineGuest(host, { name: 'vm', disk, furtherDisks });
  await stale.start();
  await stale.waitForAcks(40);
  await stale.kill();
  await expectOneCut(stale, ...images('a', 'b'));
  const found = /boot 2 found \d+, but \d+ was acknowledged\n\s+boot 2 found no cut: newest/;
  await expect(expectGuestData(stale, ...images('a', 'b'))).rejects.toThrow(found);
});

test('a disk may be one generation behind the one before it, and no other way', () => {
  for (const newest of [[0], [7, 7], [7, 6], [7, 7, 6, 6], [7, 6, 6, 6]]) {
    expect([newest, isOneCut(newest)]).toEqual([newest, true]);
  }
  for (const newest of [
    [6, 7],
    [7, 5],
    [7, 6, 5],
    [7, 6, 7],
    [7, 7, 7, 5],
  ]) {
    expect([newest, isOneCut(newest)]).toEqual([newest, false]);
  }
});
