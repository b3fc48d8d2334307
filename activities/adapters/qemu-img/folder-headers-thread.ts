/**
 * The thread of `folder-headers.ts`: it may wait for the file system. It remembers what it has read
 * of files of this host's own file systems, and by their inodes and times which ones to read again:
 * most of a pool stays as it is.
 */
import { lstatSync, statfsSync, type BigIntStats } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { stateIn } from '../files/file-state.ts';
import { LOCAL } from '../files/file-systems.ts';
import { nullIfMissing } from '../files/paths.ts';
import { filesBelow } from '../files/walk.ts';
import { namesInSync, namesNone } from './qcow2-header.ts';

export interface Search {
  folder: string;
  /** Name of folders that are left out. */
  without: string;
}

/** What remains of an error on its way from thread to thread. */
export interface Told {
  message: string;
  code: string | undefined;
}

/** Paths are texts of bytes (latin1), which cost a thread the least to give away. */
export interface Named {
  file: string;
  backing: readonly string[];
  dataFile: readonly string[];
}

export type Answer =
  | {
      /** In order; null for the same as the last time that this thread has answered. */
      named: Named[] | null;
      leftOut: { folder: string; why: string }[];
      unread: { file: string; error: Told } | null;
    }
  | { failed: Told };
type Found = Exclude<Answer, { failed: Told }>;

interface Known {
  state: string;
  /** Null for a file that names no other one. */
  named: Named | null;
}
interface Memory {
  files: Map<string, Known>;
  /** As they were found. */
  answered: readonly Named[];
}
const memories = new Map<string, Memory>();
/** Some 200 bytes each. */
const MOST_FILES = 200_000;

parentPort?.on('message', (search: Search) => {
  let answer: Answer;
  try {
    answer = look(search);
  } catch (error) {
    answer = { failed: told(error) };
  }
  parentPort?.postMessage(answer);
});

const told = (error: unknown): Told => {
  const { message, code } = error as NodeJS.ErrnoException;
  return { message, code };
};

const count = workerData as Int32Array;

const textOf = (path: Buffer) => path.toString('latin1');

function look({ folder, without }: Search): Found {
  const before = memories.get(folder);
  const files: Memory['files'] = new Map();
  const [named, leftOut]: [Named[], Found['leftOut']] = [[], []];
  const leaveOut = (where: string, why: string) => void leftOut.push({ folder: where, why });
  const stateOf = stateReader();
  for (const path of filesBelow(folder, { without, leaveOut })) {
    const file = textOf(path);
    Atomics.add(count, 0, 1);
    try {
      const state = stateOf(path);
      const known = state === null ? undefined : before?.files.get(file);
      const found = known?.state === state ? known : undefined;
      const names = found ? found.named : namesOf(path, file);
      if (names !== null) named.push(names);
      if (state !== null) files.set(file, found ?? { state, named: names });
    } catch (error) {
      return { named: inOrder(named), leftOut, unread: { file, error: told(error) } };
    }
  }
  remember(folder, { files, answered: named });
  const isSame =
    before?.answered.length === named.length &&
    before.answered.every((one, at) => one === named[at]);
  return { named: isSame ? null : inOrder(named), leftOut, unread: null };
}

function namesOf(path: Buffer, file: string): Named | null {
  const names = namesInSync(path);
  if (namesNone(names)) return null;
  return { file, backing: names.backing.map(textOf), dataFile: names.dataFile.map(textOf) };
}

/** As texts of bytes compare. */
const inOrder = (named: readonly Named[]) =>
  [...named].sort((one, other) => (one.file < other.file ? -1 : 1));

/**
 * @returns by what a file can be known again; null for one that has just been written to, that is
 * a link or no file, or that other hosts may write to
 */
function stateReader() {
  const nowMs = Date.now();
  const isLocal = new Map<bigint, boolean>();
  return (path: Buffer): string | null => {
    const stats = statsOf(path);
    if (!stats?.isFile()) return null;
    const known = isLocal.get(stats.dev) ?? LOCAL.has(statfsSync(path).type);
    isLocal.set(stats.dev, known);
    const { state, isSettled } = stateIn(stats, nowMs);
    return known && isSettled ? state : null;
  };
}

function statsOf(path: Buffer): BigIntStats | null {
  try {
    return lstatSync(path, { bigint: true });
  } catch (error) {
    return nullIfMissing(error);
  }
}

/** The folders that were searched last, as far as there is room. */
function remember(folder: string, memory: Memory): void {
  memories.delete(folder);
  memories.set(folder, memory);
  let left = MOST_FILES;
  for (const [name, { files }] of [...memories].reverse()) {
    left -= files.size;
    if (left < 0) memories.delete(name);
  }
}
