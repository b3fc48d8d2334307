/** Disks whose merge waits for its turn: no other operation may take one meanwhile. */
import { holdDisk, type DiskLock } from '../disk-locks.ts';
import type { Deletion } from './delete-snapshot.ts';

export interface WaitingDisks {
  /**
   * Holds every disk that waits, but for those of this snapshot whose merges begin at once.
   * @returns disks that another operation has
   */
  hold(snapshot: string): Promise<string[]>;
  /** The disk's turn has come: its own merge takes its id. */
  take(disk: string): Promise<void>;
  /** Its merge has ended, and one for another snapshot may wait. */
  giveBack(disk: string): Promise<void>;
  release(): Promise<void>;
}

export function waitingDisks(op: Deletion): WaitingDisks {
  const locks = new Map<string, DiskLock>();
  const waiting = () => op.status.disks.filter(({ state }) => state === 'waiting');
  const holdOne = async (disk: string): Promise<boolean> => {
    const lock = await holdDisk(op, disk);
    if (lock) locks.set(disk, lock);
    return lock !== null;
  };
  const take = async (disk: string) => {
    const lock = locks.get(disk);
    locks.delete(disk);
    await lock?.release();
  };
  return {
    async hold(snapshot) {
      const ofSnapshot = waiting().filter((part) => part.snapshot === snapshot);
      const first = ofSnapshot.slice(0, op.input.atOnce).map(({ disk }) => disk);
      const all = new Set(waiting().map(({ disk }) => disk));
      const later = [...all].filter((disk) => !first.includes(disk) && !locks.has(disk));
      const held = await Promise.all(later.map(holdOne));
      return later.filter((_, at) => !held[at]);
    },
    take,
    async giveBack(disk) {
      if (waiting().some((part) => part.disk === disk)) await holdOne(disk);
    },
    async release() {
      await Promise.all([...locks.keys()].map(take));
    },
  };
}
