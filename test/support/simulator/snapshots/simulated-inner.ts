/** Snapshots inside of the files of a disk in memory, as qcow2 keeps them. */
import type { SimulatedFiles } from '../simulated-files.ts';

export interface Inner {
  /** Given again once it is free. */
  id: string;
  name: string;
  takenSeconds: number;
}

export class SimulatedInner {
  /** By identity of the file. */
  readonly #inside = new Map<string, Inner[]>();
  readonly #files: SimulatedFiles;

  constructor(files: SimulatedFiles) {
    this.#files = files;
  }

  of(path: string): readonly Inner[] {
    return this.#inside.get(this.#files.identity(path) ?? '') ?? [];
  }

  named(path: string, name: string): readonly Inner[] {
    return this.of(path).filter((one) => one.name === name);
  }

  take(path: string, name: string, takenSeconds: number): void {
    const all = this.of(path);
    const id = String(1 + Math.max(0, ...all.map((one) => Number(one.id))));
    this.#set(path, [...all, { id, name, takenSeconds }]);
  }

  remove(path: string, id: string): void {
    this.#set(
      path,
      this.of(path).filter((one) => one.id !== id),
    );
  }

  #set(path: string, all: readonly Inner[]): void {
    this.#inside.set(this.#files.identity(path) ?? '', [...all]);
  }
}
