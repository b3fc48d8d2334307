/**
 * What the guest writes: the parameters, the slot of a generation, the bytes of a sector.
 * The mirror of guest/guest.asm; when you change one, change the other.
 */
export const SECTOR_BYTES = 512;
/** Boot sector, parameter block and code. */
export const GUEST_IMAGE_BYTES = 4096;

const MAGIC = 0x57464c42;
const MIB_SECTORS = 2048;
const ZEROS = Buffer.alloc(SECTOR_BYTES);
const TIMER_HZ = 1_193_182;
const MOST_DISKS = 4;

export interface GuestParameters {
  /** Makes the data of two disks different. */
  readonly seed: number;
  /**
   * Number of slots, a power of two. Generation g overwrites generation g - slots. A stale
   * overlay hides only clusters that it holds itself, so a test of that lets the guest write
   * `slots` generations into the overlay first (few slots, or a small stride, make it soon).
   */
  readonly slots: number;
  /** From slot to slot; 128 makes every write dirty a 64 KiB cluster of its own. */
  readonly strideSectors: number;
  /** 1..127; more makes a heavy writer. */
  readonly sectorsPerWrite: number;
  /** Upper limit, 0 = as fast as it goes. */
  readonly writesPerSecond: number;
  /** An `A` line after so many writes. This many writes can be on disk without one. */
  readonly ackEvery: number;
  /** After so many writes one slot is read back and compared. */
  readonly readBackEvery: number;
  /** First sector of slot 0, a multiple of 2048 (1 MiB). */
  readonly regionStartSector: number;
  /** Each generation goes to so many disks, 1..4, to one after the other: vda, vdb, … */
  readonly disks: number;
}

const DEFAULTS: GuestParameters = {
  seed: 0xb10cf10,
  slots: 64,
  strideSectors: 128,
  sectorsPerWrite: 1,
  writesPerSecond: 100,
  ackEvery: 1,
  readBackEvery: 16,
  regionStartSector: MIB_SECTORS,
  disks: 1,
};

/** Fills in the defaults (200 writes/s over 64 clusters of 64 KiB); throws RangeError. */
export function guestParameters(given: Partial<GuestParameters> = {}): GuestParameters {
  const p = { ...DEFAULTS, ...given };
  const demand = (holds: boolean, rule: string) => {
    if (!holds) throw new RangeError(`guest parameters: ${rule}: ${JSON.stringify(p)}`);
  };
  for (const [name, value] of Object.entries(p)) {
    demand(Number.isSafeInteger(value) && value >= 0 && value < 2 ** 32, `${name} is a u32`);
  }
  demand(p.slots >= 4 && (p.slots & (p.slots - 1)) === 0, 'slots is a power of two from 4');
  demand(p.sectorsPerWrite >= 1 && p.sectorsPerWrite <= 127, 'sectorsPerWrite is 1..127');
  demand(p.strideSectors >= p.sectorsPerWrite, 'strideSectors is at least sectorsPerWrite');
  demand(p.ackEvery >= 1 && p.readBackEvery >= 1, 'ackEvery and readBackEvery are at least 1');
  demand(p.ackEvery <= p.slots / 2, 'ackEvery is at most half of slots');
  demand(
    p.regionStartSector > 0 && p.regionStartSector % MIB_SECTORS === 0,
    'regionStartSector is a multiple of 2048',
  );
  demand(p.disks >= 1 && p.disks <= MOST_DISKS, `disks is 1..${MOST_DISKS}`);
  return p;
}

/** What the guest writes to its disk of this number, 0 for vda. */
export function parametersOfDisk(p: GuestParameters, number: number): GuestParameters {
  return { ...p, seed: (p.seed + number) >>> 0 };
}

/** Where the slots end, rounded up to 1 MiB: from here on the guest touches nothing. */
export function regionEndBytes(p: GuestParameters): number {
  const end = p.regionStartSector + p.slots * p.strideSectors;
  return Math.ceil(end / MIB_SECTORS) * MIB_SECTORS * SECTOR_BYTES;
}

/** The slot that a generation is written to: neighbours in time are far apart on the disk. */
export function slotOf(p: GuestParameters, generation: number): number {
  return (Math.imul(generation, multiplierOf(p)) & (p.slots - 1)) >>> 0;
}

/** The newest generation <= `latest` that is written to this slot; 0 when there is none. */
export function generationDueIn(p: GuestParameters, slot: number, latest: number): number {
  const first = Math.imul(slot, inverseOf(multiplierOf(p))) & (p.slots - 1);
  const age = (latest - first) & (p.slots - 1);
  return Math.max(0, latest - age);
}

/** The exact content of one sector of a write. */
export function sectorOf(
  p: GuestParameters,
  slot: number,
  generation: number,
  index: number,
): Buffer {
  const words = new Uint32Array(SECTOR_BYTES / 4);
  words.set([MAGIC, slot, generation, p.seed, index, p.sectorsPerWrite, ~generation, 0]);
  let x =
    p.seed ^
    Math.imul(slot, 0x9e3779b1) ^
    Math.imul(generation, 0x85ebca6b) ^
    Math.imul(index, 0xc2b2ae35);
  for (let at = 8; at < 127; at += 1) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0;
    words[at] = x;
  }
  let checksum = 0;
  for (const word of words.subarray(0, 127)) {
    checksum = ((checksum << 5) | (checksum >>> 27)) ^ word;
  }
  words[127] = checksum;
  return Buffer.from(words.buffer);
}

/** Generation of an intact sector of this slot, 0 for zeros, undefined for anything else. */
export function generationOf(
  p: GuestParameters,
  slot: number,
  index: number,
  sector: Buffer,
): number | undefined {
  const generation = sector.readUInt32LE(8);
  const expected = generation === 0 ? ZEROS : sectorOf(p, slot, generation, index);
  return sector.equals(expected) ? generation : undefined;
}

/** Writes the parameters into an assembled guest image, in place. */
export function patchParameters(image: Buffer, p: GuestParameters): void {
  if (image.length !== GUEST_IMAGE_BYTES || image.toString('latin1', 512, 520) !== 'BFGUEST1') {
    throw new Error(`not a guest image: ${image.length} bytes without BFGUEST1 at 512`);
  }
  // The timer counts 16 bits, so below 19 writes/s several ticks of 18.2 Hz make one pause.
  const fast = p.writesPerSecond >= 19;
  const paced = p.writesPerSecond > 0;
  const divisor = fast ? Math.max(100, Math.round(TIMER_HZ / p.writesPerSecond)) : 0;
  const ticks = paced ? (fast ? 1 : Math.ceil(18.2 / p.writesPerSecond)) : 0;
  const multiplier = multiplierOf(p);
  [
    p.seed,
    p.slots - 1,
    multiplier,
    inverseOf(multiplier),
    p.regionStartSector,
    p.strideSectors,
    p.sectorsPerWrite,
    p.ackEvery,
    p.readBackEvery,
    divisor,
    ticks,
    p.disks,
  ].forEach((value, at) => image.writeUInt32LE(value >>> 0, 520 + 4 * at));
}

/** An odd number near slots * 0.618, so that multiplying permutes the slots and scatters. */
function multiplierOf(p: GuestParameters): number {
  return Math.round(p.slots * 0.618) | 1;
}

/** Inverse of an odd number modulo 2^32, by Newton's iteration. */
function inverseOf(odd: number): number {
  let inverse = odd;
  for (let round = 0; round < 5; round += 1) {
    inverse = Math.imul(inverse, 2 - Math.imul(odd, inverse));
  }
  return inverse >>> 0;
}
