/** What tells whether a file has been written to since it was read. */
import type { BigIntStats } from 'node:fs';

/** A clock of the kernel moves on by less; a second change in the same tick leaves no trace. */
const SETTLED_MS = 2000;

export interface FileState {
  /** Another one after every write, and for every other file. */
  state: string;
  /** What is read now may be remembered by `state`. */
  isSettled: boolean;
}

/** @param nowMs the clock */
export function stateIn(stats: BigIntStats, nowMs: number): FileState {
  const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = stats;
  return {
    state: `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`,
    isSettled: nowMs - Number(ctimeMs) > SETTLED_MS,
  };
}
