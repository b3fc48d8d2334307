/** libvirt's list of the snapshots of one VM in memory: a tree, and the one that the VM is on. */
import { hold } from '../../../../workflows/operation/failures.ts';

export interface ListedDisk {
  kind: 'external' | 'internal' | 'no';
  /** The overlay that came with an external one. */
  source: string | null;
}

export interface ListedPoint {
  name: string;
  parent: string | null;
  /** Seconds, on the clock of the VM. */
  createdAt: number;
  disks: Map<string, ListedDisk>;
  /** By disk, the active layer that the VM had. */
  domain: Map<string, string>;
}

/** Files that leave the chain of a disk, and the layer that they were merged into. */
export interface Merged {
  disk: string;
  gone: ReadonlySet<string>;
  base: string;
}

export class SimulatedTree {
  /** Parents first. */
  points: ListedPoint[] = [];
  current: string | null = null;

  find(name: string): ListedPoint | undefined {
    return this.points.find((point) => point.name === name);
  }

  /** `snapshot-create --redefine --current` of a new one. */
  add(point: Omit<ListedPoint, 'parent'>): void {
    if (this.find(point.name)) throw new Error(`${point.name} is listed twice`);
    this.points.push({ ...point, parent: this.current });
    this.current = point.name;
  }

  /** `snapshot-delete --metadata`: what was taken on it hangs under its parent. */
  forget(name: string): void {
    const gone = this.find(name);
    if (!gone) return;
    this.points = this.points.filter((point) => point !== gone);
    for (const point of this.points) if (point.parent === name) point.parent = gone.parent;
    if (this.current === name) this.current = gone.parent;
  }

  /** Those that were taken on it, it included; parents first. */
  under(name: string): ListedPoint[] {
    const names = new Set([name]);
    for (const { name: own, parent } of this.#parentsFirst()) {
      if (parent !== null && names.has(parent)) names.add(own);
    }
    return this.#parentsFirst().filter((point) => names.has(point.name));
  }

  /** What becomes of a snapshot; null when it names none of the files. */
  changeOf({ disks, domain }: ListedPoint, { disk, gone }: Merged): 'delete' | 'redefine' | null {
    const isGone = (source: string | null) => source !== null && gone.has(source);
    const lost = isGone(disks.get(disk)?.source ?? null);
    const remains = [...disks.values()].some(
      ({ kind, source }) => kind !== 'no' && !isGone(source),
    );
    if (lost && !remains) return 'delete';
    return lost || isGone(domain.get(disk) ?? null) ? 'redefine' : null;
  }

  changesOf(merged: Merged) {
    return this.points.flatMap((point) => {
      const action = this.changeOf(point, merged);
      return action === null ? [] : [{ name: point.name, action }];
    });
  }

  /** The record after the merge: the disk's own restore point is gone, the chain is shorter. */
  redefine({ disks, domain }: ListedPoint, { disk, gone, base }: Merged): void {
    const source = disks.get(disk)?.source;
    if (source && gone.has(source)) disks.set(disk, { kind: 'no', source: null });
    if (gone.has(domain.get(disk) ?? '')) domain.set(disk, base);
  }

  /**
   * A snapshot that is to be forgotten has no layers left, and is in no image.
   * @throws Hold `unproven`
   */
  assertEmpty({ name, disks }: ListedPoint, isInside: (disk: string) => boolean): void {
    const left = [...disks].flatMap(([disk, { kind }]) =>
      kind === 'external' || (kind === 'internal' && isInside(disk)) ? [disk] : [],
    );
    if (left.length === 0) return;
    const now = `${left.join(', ')} of libvirt's record still have it`;
    throw hold('unproven', { attempted: `removing snapshot ${name}`, now, next: 'Look' });
  }

  #parentsFirst(): ListedPoint[] {
    const depth = (point: ListedPoint | undefined): number =>
      point?.parent == null ? 0 : 1 + depth(this.find(point.parent));
    return [...this.points].sort((a, b) => depth(a) - depth(b));
  }
}
