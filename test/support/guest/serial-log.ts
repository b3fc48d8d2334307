/** What the guest said on its serial port, read piece by piece as the file grows. */
import { closeSync, openSync, readSync } from 'node:fs';

export interface FoundDisk {
  /** Highest generation the guest found on this disk. */
  readonly newest: number;
  /** Sectors that were not what `newest` implies: lost in the middle, or torn. */
  readonly badSectors: number;
}

export interface GuestBoot extends FoundDisk {
  /** The further disks that it writes: vdb, vdc, … */
  readonly further: readonly FoundDisk[];
  /** Highest generation acknowledged before this boot; `newest` must not be below it. */
  readonly acknowledgedBefore: number;
}

/** Reader of one serial file; the file may not exist yet. Every getter reads what is new. */
export class SerialLog {
  readonly path: string;
  #offset = 0;
  #rest = '';
  #acknowledged = 0;
  readonly #boots: GuestBoot[] = [];
  readonly #mismatches: number[] = [];
  readonly #writeErrors: number[] = [];

  constructor(path: string) {
    this.path = path;
  }

  /** Highest generation acknowledged in any boot, 0 at first. */
  get acknowledged(): number {
    this.#readOn();
    return this.#acknowledged;
  }

  get boots(): readonly GuestBoot[] {
    this.#readOn();
    return this.#boots;
  }

  /** Generations that the guest read back wrong. */
  get mismatches(): readonly number[] {
    this.#readOn();
    return this.#mismatches;
  }

  /** Generations whose write was refused (and tried again). */
  get writeErrors(): readonly number[] {
    this.#readOn();
    return this.#writeErrors;
  }

  #readOn(): void {
    const text = this.#rest + this.#newText();
    // A line cut by a kill runs into the first line of the next boot, so lines are searched,
    // not split; tags are capitals and numbers are not.
    const line = /([AXE]) ([0-9a-f]{8})\n|B((?: [0-9a-f]{8} [0-9a-f]{8})+)\n/g;
    for (const [, tag, number, found = ''] of text.matchAll(line)) {
      if (tag === undefined) {
        const [first, ...further] = [...found.matchAll(/ (\S+) (\S+)/g)].map(foundDisk);
        if (!first) throw new Error(`a line of ${this.path} names no disk: ${found}`);
        this.#boots.push({ ...first, further, acknowledgedBefore: this.#acknowledged });
      } else this.#take(tag, Number(`0x${number}`));
    }
    this.#rest = text.slice(text.lastIndexOf('\n') + 1);
  }

  #take(tag: string, generation: number): void {
    if (tag === 'A') this.#acknowledged = Math.max(this.#acknowledged, generation);
    else if (tag === 'X') this.#mismatches.push(generation);
    else this.#writeErrors.push(generation);
  }

  #newText(): string {
    let file: number;
    try {
      file = openSync(this.path, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    }
    try {
      const pieces: string[] = [];
      const buffer = Buffer.alloc(65_536);
      for (;;) {
        const count = readSync(file, buffer, 0, buffer.length, this.#offset);
        if (count === 0) return pieces.join('');
        this.#offset += count;
        pieces.push(buffer.toString('latin1', 0, count));
      }
    } finally {
      closeSync(file);
    }
  }
}

const foundDisk = ([, newest, bad]: RegExpExecArray): FoundDisk => ({
  newest: Number(`0x${newest}`),
  badSectors: Number(`0x${bad}`),
});
