/** A test guest's data, judged whole: its acknowledged writes, and the marks of its layers. */
import type { GuestDisk } from './disks/guest-disk.ts';
import type { Guest } from './guest.ts';
import { expectMarks } from './disks/layer-marks.ts';
import { expectNoLoss, isOneCut, verifyGuestData, verifyPointInTime } from './oracle.ts';

interface Image {
  path: string;
  format: string;
  /** While a process may write it. */
  forceShare?: boolean;
}

/**
 * Throws when one of the images lacks any. They are the active layers of all disks that the guest
 * writes, vda's first. Returns what was acknowledged.
 */
export async function expectGuestData(guest: Guest, ...images: Image[]): Promise<number> {
  const acknowledged = guest.acknowledged();
  const newest: number[] = [];
  for (const [{ parameters }, { path, ...how }] of byDisk(guest, images)) {
    const question = { imagePath: path, ...how, parameters, acknowledged };
    const report = await verifyGuestData(question);
    expectNoLoss(report, guest.serial);
    newest.push(report.newest);
  }
  // A guest that runs goes on while they are read in turn.
  if (!images.some(({ forceShare }) => forceShare)) expectCut(images, newest);
  const [vda] = images;
  if (vda) await expectMarks(guest, vda.path, vda.format);
  return acknowledged;
}

/**
 * Throws unless the images, one for each disk that the guest writes, vda's first, are its disks as
 * they were at one point in time, as the bases of a snapshot are: each has every generation up to
 * its newest, and no disk is more than one behind vda. Returns the newest that is on all of them.
 * What was acknowledged at that point is no larger; the caller knows what was acknowledged before.
 */
export async function expectOneCut(guest: Guest, ...images: Image[]): Promise<number> {
  const newest: number[] = [];
  for (const [{ parameters }, { path, ...how }] of byDisk(guest, images)) {
    const report = await verifyPointInTime({ imagePath: path, ...how, parameters });
    expectNoLoss(report);
    newest.push(report.newest);
  }
  expectCut(images, newest);
  return Math.min(...newest);
}

function byDisk({ name, disks }: Guest, images: readonly Image[]): [GuestDisk, Image][] {
  if (images.length !== disks.length) {
    throw new RangeError(`${name} writes to ${disks.length} disks, not to ${images.length}`);
  }
  return disks.map((disk, at) => [disk, images[at] as Image]);
}

function expectCut(images: readonly Image[], newest: readonly number[]): void {
  if (isOneCut(newest)) return;
  const found = images.map(({ path }, at) => `${path} has ${newest[at]}`);
  throw new Error(`the disks are of several points in time:\n  ${found.join('\n  ')}`);
}
