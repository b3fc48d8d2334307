/**
 * The judge of "no lost write". Whatever was acknowledged has to be on the disk: in each slot
 * the newest generation up to the acknowledged one that belongs there, or one of the few writes
 * that were under way after it; every sector whole; everything never written zero.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { execa } from 'execa';

import {
  type GuestParameters,
  SECTOR_BYTES,
  generationDueIn,
  generationOf,
  regionEndBytes,
  slotOf,
} from './guest-sector.ts';
import type { SerialLog } from './serial-log.ts';

export interface BrokenSector {
  readonly slot: number;
  /** Index of the sector in its slot. */
  readonly sector: number;
  /** Generation that had to be there, 0 for zeros. */
  readonly due: number;
  /** Generation that is there, 0 for zeros, undefined if the sector is not whole. */
  readonly found: number | undefined;
}

export interface GuestDataReport {
  /** Slots in which the data of some acknowledged write was looked for. */
  readonly verified: number;
  readonly acknowledged: number;
  /** Highest generation found in any whole sector. */
  readonly newest: number;
  /** An older generation, or zeros, where an acknowledged one has to be. */
  readonly lost: readonly BrokenSector[];
  /** Not a whole sector, never issued, or not zero where nothing was written. */
  readonly torn: readonly BrokenSector[];
}

export interface GuestDataQuestion {
  /** The active layer. */
  readonly imagePath: string;
  readonly format: string;
  /** Highest generation acknowledged; read it after QEMU is gone. */
  readonly acknowledged: number;
  readonly parameters: GuestParameters;
  /** Opens the image although a process writes it; what is read then may be inconsistent. */
  readonly forceShare?: boolean;
  /** Highest generation that may be there, default `acknowledged + ackEvery`. */
  readonly issued?: number;
}

/** Reads the guest's slots through the whole chain and judges them. */
export async function verifyGuestData(question: GuestDataQuestion): Promise<GuestDataReport> {
  const { imagePath, format, parameters, acknowledged, issued } = question;
  const region = await readRegion(imagePath, format, parameters, question.forceShare ?? false);
  return checkGuestData(region, parameters, acknowledged, issued);
}

/** The same for what is no longer written: every generation up to its own newest. */
export async function verifyPointInTime(
  question: Omit<GuestDataQuestion, 'acknowledged' | 'issued'>,
): Promise<GuestDataReport> {
  const { imagePath, format, parameters, forceShare = false } = question;
  const region = await readRegion(imagePath, format, parameters, forceShare);
  const { newest } = checkGuestData(region, parameters, 0);
  return checkGuestData(region, parameters, newest, newest);
}

/** The rule itself: `region` is the disk's content from the first slot to the region's end. */
export function checkGuestData(
  region: Buffer,
  p: GuestParameters,
  acknowledged: number,
  issued = acknowledged + p.ackEvery,
): GuestDataReport {
  const lost: BrokenSector[] = [];
  const torn: BrokenSector[] = [];
  let verified = 0;
  let newest = 0;
  const underWay = new Map<number, number>();
  for (let g = Math.max(acknowledged + 1, issued - p.slots + 1); g <= issued; g += 1) {
    underWay.set(slotOf(p, g), g);
  }
  for (let slot = 0; slot < p.slots; slot += 1) {
    const due = generationDueIn(p, slot, acknowledged);
    if (due > 0) verified += 1;
    for (let sector = 0; sector < p.strideSectors; sector += 1) {
      const at = (slot * p.strideSectors + sector) * SECTOR_BYTES;
      const bytes = region.subarray(at, at + SECTOR_BYTES);
      const inGap = sector >= p.sectorsPerWrite;
      const found = generationOf(p, slot, sector, bytes);
      const wanted = inGap ? 0 : due;
      if (found !== undefined && !inGap) newest = Math.max(newest, found);
      if (found === wanted || (!inGap && isUnderWay(found, due, underWay.get(slot)))) continue;
      const broken = { slot, sector, due: wanted, found };
      (found !== undefined && found < wanted ? lost : torn).push(broken);
    }
  }
  return { verified, acknowledged, newest, lost, torn };
}

/** Any generation of this slot between the one due and the last one issued. */
function isUnderWay(found: number | undefined, due: number, last: number | undefined): boolean {
  return found !== undefined && last !== undefined && found > due && found <= last;
}

/** Throws an error that names what is missing, and what the guest itself has complained of. */
export function expectNoLoss(report: GuestDataReport, serial?: SerialLog): void {
  const complaints = [
    ...describe('lost', report.lost),
    ...describe('torn', report.torn),
    ...(serial === undefined ? [] : complaintsOf(serial)),
  ];
  if (report.verified === 0) complaints.push('nothing was verified: no write was acknowledged');
  if (complaints.length === 0) return;
  throw new Error(
    `guest data is broken (acknowledged ${report.acknowledged}, newest on disk ` +
      `${report.newest}):\n  ${complaints.join('\n  ')}`,
  );
}

/** What only the guest could see: loss that later writes have covered up since. */
function complaintsOf(serial: SerialLog): string[] {
  const complaints = serial.boots.flatMap((boot, at) => {
    const { acknowledgedBefore, further } = boot;
    const disks = [boot, ...further];
    const found = disks.flatMap(({ newest, badSectors }) => [
      ...(newest < acknowledgedBefore
        ? [`found ${newest}, but ${acknowledgedBefore} was acknowledged`]
        : []),
      ...(badSectors > 0 ? [`found ${badSectors} bad sectors`] : []),
    ]);
    const newest = disks.map((disk) => disk.newest);
    if (!isOneCut(newest)) found.push(`found no cut: newest ${newest.join(', ')}`);
    return found.map((complaint) => `boot ${at + 1} ${complaint}`);
  });
  const [first] = serial.mismatches;
  if (first !== undefined) {
    complaints.push(`${serial.mismatches.length} read back wrong, first generation ${first}`);
  }
  return complaints;
}

/**
 * Whether these are the newest generations, vda's first, that the disks had at one point in time:
 * the guest writes each to one disk after the other.
 */
export function isOneCut(newest: readonly number[]): boolean {
  const [first = 0] = newest;
  return newest.every((own, at) => own <= (newest[at - 1] ?? own) && first - own <= 1);
}

function describe(what: string, broken: readonly BrokenSector[]): string[] {
  const some = broken
    .slice(0, 5)
    .map(
      ({ slot, sector, due, found }) =>
        `${what}: slot ${slot} sector ${sector} has ${found ?? 'no whole sector'}, due is ${due}`,
    );
  return broken.length > 5 ? [...some, `${what}: ${broken.length - 5} more`] : some;
}

async function readRegion(
  path: string,
  format: string,
  p: GuestParameters,
  forceShare: boolean,
): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-oracle-'));
  try {
    const raw = join(folder, 'region.raw');
    const startMiB = (p.regionStartSector * SECTOR_BYTES) / 2 ** 20;
    const endMiB = regionEndBytes(p) / 2 ** 20;
    // dd counts from the start of the image: `count` includes what `skip` leaves out.
    await execa('qemu-img', [
      'dd',
      ...(forceShare ? ['-U'] : []),
      '-f',
      format,
      '-O',
      'raw',
      'bs=1M',
      `skip=${startMiB}`,
      `count=${endMiB}`,
      `if=${path}`,
      `of=${raw}`,
    ]);
    const region = await readFile(raw);
    if (region.length !== (endMiB - startMiB) * 2 ** 20) {
      throw new Error(`${path} ends inside of the guest's slots: read ${region.length} bytes`);
    }
    return region;
  } finally {
    await rm(folder, { recursive: true });
  }
}
