/** Names on a file system in memory: several may be one file, and a new file is another one. */
export class SimulatedFiles implements Iterable<string> {
  /** By path, the identity of the file. */
  readonly #names = new Map<string, string>();
  /** By identity, the backing file that a qcow2 header names. */
  readonly #backing = new Map<string, string>();
  #made = 0;

  get size(): number {
    return this.#names.size;
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#names.keys();
  }

  has(path: string): boolean {
    return this.#names.has(path);
  }

  /** Null for what is not there. */
  identity(path: string): string | null {
    return this.#names.get(path) ?? null;
  }

  /** A new file, unless there is one of that name. */
  create(path: string, backing: string | null = null): void {
    if (this.has(path)) return;
    const identity = `7:${++this.#made}`;
    this.#names.set(path, identity);
    if (backing !== null) this.#backing.set(identity, backing);
  }

  /** One more name of a file; false when that name is taken. */
  link(from: string, to: string): boolean {
    if (this.has(to)) return false;
    this.#names.set(to, this.#at(from));
    return true;
  }

  rename(from: string, to: string): void {
    this.#names.set(to, this.#at(from));
    this.#names.delete(from);
  }

  /** False when there is no such name. */
  unlink(path: string): boolean {
    return this.#names.delete(path);
  }

  backing(path: string): string | null {
    return this.#backing.get(this.identity(path) ?? '') ?? null;
  }

  setBacking(path: string, backing: string | null): void {
    const identity = this.#at(path);
    if (backing === null) this.#backing.delete(identity);
    else this.#backing.set(identity, backing);
  }

  /** By the headers, base-most first; what is not there ends it. */
  chainOf(path: string): string[] {
    const chain: string[] = [];
    for (let at: string | null = path; at && !chain.includes(at); at = this.backing(at)) {
      chain.unshift(at);
    }
    return chain;
  }

  #at(path: string): string {
    const identity = this.identity(path);
    if (identity === null) throw new Error(`${path} does not exist`);
    return identity;
  }
}
