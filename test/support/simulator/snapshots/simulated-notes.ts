/** Notes of snapshots and reverts in the pools of one VM in memory: `.blockflow/<job>/`. */
import type { z } from 'zod';
import type {
  overlayReservation,
  Overlay,
  PlannedDisk,
} from '../../../../workflows/snapshot/create/plan.ts';
import type { RevertNote } from '../../../../workflows/snapshot/revert/plan.ts';
import { staged } from '../simulated-images.ts';
import type { SimulatedMachine } from '../simulated-machine.ts';

export type Content =
  { of: 'snapshot'; text: z.infer<typeof overlayReservation> } | { of: 'revert'; text: RevertNote };

interface Note {
  pool: string;
  jobId: string;
  /** Null once it is abandoned: no run goes on with it. */
  owner: string | null;
  content: Content;
}

export class SimulatedNotes {
  readonly #notes = new Map<string, Note>();

  get all(): Note[] {
    return [...this.#notes.values()];
  }

  get(pool: string, jobId: string): Note | undefined {
    return this.#notes.get(`${pool} ${jobId}`);
  }

  hasJob(jobId: string): boolean {
    return this.all.some((note) => note.jobId === jobId);
  }

  write(pool: string, jobId: string, { owner, content }: Omit<Note, 'pool' | 'jobId'>): void {
    this.#notes.set(`${pool} ${jobId}`, { pool, jobId, owner, content });
  }

  remove(pool: string, jobId: string): void {
    this.#notes.delete(`${pool} ${jobId}`);
  }

  /** Goes on with a note. @returns false when it is being deleted, or gone */
  claim(pool: string, jobId: string, owner: string): boolean {
    const note = this.get(pool, jobId);
    if (!note || note.owner === null) return false;
    note.owner = owner;
    return true;
  }

  /** From here on no run goes on with it. @returns false when it is another's (null: any owner) */
  abandon(pool: string, jobId: string, owners: readonly string[] | null): boolean {
    const note = this.get(pool, jobId);
    if (!note || note.owner === null) return true;
    if (owners !== null && !owners.includes(note.owner)) return false;
    note.owner = null;
    return true;
  }

  /** Those of reverts, the newest first; of several pools the one that is least far. */
  reverts(): RevertNote[] {
    const found = new Map<string, RevertNote>();
    for (const { owner, content } of this.all) {
      if (content.of !== 'revert') continue;
      const { text } = content;
      if (owner === null && text.state.phase !== 'begun') continue;
      const other = found.get(text.jobId);
      if (!other || rank(text) < rank(other)) found.set(text.jobId, text);
    }
    return [...found.values()].sort((a, b) => (a.time < b.time ? 1 : -1));
  }
}

const rank = ({ state }: RevertNote) => ['begun', 'undoing', 'kept', 'undone'].indexOf(state.phase);

/** The overlays of a job that were made. */
export function overlaysOf(
  machine: SimulatedMachine,
  jobId: string,
  disks: readonly PlannedDisk[],
): Overlay[] {
  return disks.flatMap(({ disk, to, name }) => {
    const { files } = machine.disk(disk);
    const path = `${to.folder}/${name}`;
    const isReleased = machine.notes.get(to.pool, jobId) === undefined;
    const identity =
      files.identity(staged(to.pool, jobId, name, 'ready')) ??
      (isReleased ? files.identity(path) : null);
    if (identity === null) return [];
    return [{ disk, volume: { path, pool: to.pool, identity } }];
  });
}
