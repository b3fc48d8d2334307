/**
 * What the layers of a disk in memory hold: for each block the generation of the write that is
 * there. What QEMU shows and what would survive its death are two things: data and a qcow2 layer's
 * tables reach the file for good with a flush (reliability study F2).
 */
import type { SimulatedFiles } from './simulated-files.ts';

type Blocks = Map<number, number>;
interface Layer {
  shown: Blocks;
  durable: Blocks;
  /** Grows with each write, as a file's modification time does. */
  writes: number;
  modifiedMs: number;
}

type View = 'shown' | 'durable';
/** By block, what has to be found: the newest that was issued, and the oldest that may be read. */
interface Due {
  issued: Blocks;
  low: Blocks;
}

export const BLOCKS = [0, 1, 2, 3] as const;

export class SimulatedContent {
  /** By identity, since a file may have several names. */
  readonly #layers = new Map<string, Layer>();
  readonly #files: SimulatedFiles;
  /** By block, the newest generation that the guest has issued, and had acknowledged. */
  #issued: Blocks = new Map();
  /** By block, the oldest generation that may be read: flushed, or once seen after a crash. */
  #low: Blocks = new Map();
  /** By identity of a layer that is not written any more, what reading it down has to find. */
  readonly #points = new Map<string, Due>();
  readonly #now: () => number;
  #generation = 0;
  /** Writes that a death of QEMU lost although the guest had flushed them. */
  readonly losses: string[] = [];

  constructor(files: SimulatedFiles, now: () => number = Date.now) {
    this.#files = files;
    this.#now = now;
  }

  layer(path: string): Layer {
    const file = this.#files.identity(path) ?? path;
    const empty = { shown: new Map(), durable: new Map(), writes: 0, modifiedMs: this.#now() };
    const layer = this.#layers.get(file) ?? empty;
    this.#layers.set(file, layer);
    return layer;
  }

  #wrote(layer: Layer): void {
    layer.writes++;
    layer.modifiedMs = this.#now();
  }

  /** Its file is changed, and not what a guest reads. */
  touch(path: string): void {
    this.#wrote(this.layer(path));
  }

  /** The guest writes to the layer on top of its chain, and only to that. */
  write(chain: readonly string[], block: number): number {
    this.#generation++;
    const layer = this.layer(chain.at(-1) ?? '');
    layer.shown.set(block, this.#generation);
    this.#wrote(layer);
    this.#issued.set(block, this.#generation);
    return this.#generation;
  }

  /** The guest flushes: from now on every write before it must be found. */
  flush(chain: readonly string[]): void {
    this.settle(chain.at(-1) ?? '');
    for (const [block, generation] of this.#issued) this.#low.set(block, generation);
  }

  /** QEMU flushes one layer. */
  settle(path: string): void {
    const layer = this.layer(path);
    layer.durable = new Map(layer.shown);
  }

  /** Copies blocks as they are seen through `from` down into `base`, which is not flushed. */
  copy(from: readonly string[], base: string, blocks: Iterable<number>): void {
    for (const block of blocks) {
      const generation = this.read(from, block);
      const layer = this.layer(base);
      if (generation > 0) layer.shown.set(block, generation);
      this.#wrote(layer);
      // What it was to restore is not in it any more.
      this.#points.delete(this.#files.identity(base) ?? '');
    }
  }

  /** QEMU flushes the layer; from now on the guest writes above it. */
  freeze(path: string): void {
    this.settle(path);
    const issued = new Map(this.#issued);
    this.#points.set(this.#files.identity(path) ?? '', { issued, low: new Map(issued) });
  }

  /** Another layer is written from now on: a new one above a frozen one, or one left before. */
  turn(left: string, now: string, below: string | null): void {
    const due = { issued: this.#issued, low: this.#low };
    this.#points.set(this.#files.identity(left) ?? '', due);
    const point =
      this.#points.get(this.#files.identity(now) ?? '') ??
      this.#points.get(this.#files.identity(below ?? '') ?? '');
    this.#issued = new Map(point?.issued);
    this.#low = new Map(point?.low);
  }

  /** A layer was merged into the one below it, which stands for the same moment now. */
  movePoint(from: string, to: string): void {
    const point = this.#points.get(this.#files.identity(from) ?? '');
    if (point) this.#points.set(this.#files.identity(to) ?? '', point);
  }

  /** What a restore point does not have any more; nothing where none has to be. */
  lostAt(path: string): string[] {
    const due = this.#points.get(this.#files.identity(path) ?? '');
    return due ? this.#missing(this.#files.chainOf(path), 'durable', due) : [];
  }

  /** Blocks that these layers hold. */
  blocksOf(paths: readonly string[]): number[] {
    return BLOCKS.filter((block) => paths.some((path) => this.layer(path).shown.has(block)));
  }

  /**
   * QEMU died. What it had not flushed is lost, or (when the host wrote it in time) is not; both
   * happen, so the caller says.
   * @param open the files that it had open
   */
  crash(chain: readonly string[], open: readonly string[], unflushedSurvives: boolean): void {
    for (const layer of open.map((path) => this.layer(path))) {
      if (unflushedSurvives) layer.durable = new Map(layer.shown);
      else layer.shown = new Map(layer.durable);
    }
    this.losses.push(...this.lost(chain));
    // What was seen once must not go back.
    for (const block of BLOCKS) {
      const seen = this.read(chain, block);
      this.#low.set(block, Math.max(seen, this.#low.get(block) ?? 0));
      this.#issued.set(block, seen);
    }
  }

  /** Copies one block of one file, whatever lies below it, and flushes it. */
  clone(from: string, to: string, block: number): void {
    const generation = this.layer(from).shown.get(block);
    if (generation === undefined) return;
    const { shown, durable } = this.layer(to);
    for (const blocks of [shown, durable]) blocks.set(block, generation);
  }

  isSame(one: string, other: string): boolean {
    const [a, b] = [this.layer(one).shown, this.layer(other).shown];
    return BLOCKS.every((block) => a.get(block) === b.get(block));
  }

  /** The file is emptied, or overwritten. */
  clear(path: string): void {
    for (const blocks of [this.layer(path).shown, this.layer(path).durable]) blocks.clear();
  }

  read(chain: readonly string[], block: number, view: View = 'shown'): number {
    const holder = chain.findLast((path) => this.layer(path)[view].has(block));
    return holder === undefined ? 0 : (this.layer(holder)[view].get(block) ?? 0);
  }

  /** The oracle's rule, for the chain that would boot if QEMU died now: newest flushed or newer. */
  lost(chain: readonly string[], view: View = 'durable'): string[] {
    return this.#missing(chain, view, { issued: this.#issued, low: this.#low });
  }

  #missing(chain: readonly string[], view: View, { issued, low }: Due): string[] {
    return BLOCKS.flatMap((block) => {
      const due = (view === 'shown' ? issued : low).get(block) ?? 0;
      const seen = this.read(chain, block, view);
      const legal = seen >= due && seen <= (issued.get(block) ?? 0);
      return legal ? [] : [`block ${block} of ${chain.join(' <- ')} has ${seen}, due is ${due}`];
    });
  }
}
