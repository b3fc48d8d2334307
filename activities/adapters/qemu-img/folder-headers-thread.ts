/** The thread of `folder-headers.ts`: it may wait for the file system. */
import { parentPort, workerData } from 'node:worker_threads';
import { filesBelow } from '../files/walk.ts';
import { namesInSync } from './qcow2-header.ts';

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
export type Answer =
  | {
      named: { file: string; backing: string | null; dataFile: string | null }[];
      leftOut: { folder: string; why: string }[];
      unread: { file: string; error: Told } | null;
    }
  | { failed: Told };
type Found = Exclude<Answer, { failed: Told }>;

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

const textOf = (path: Buffer | null) => path?.toString('latin1') ?? null;

function look({ folder, without }: Search): Found {
  const found: Found = { named: [], leftOut: [], unread: null };
  const leaveOut = (where: string, why: string) => void found.leftOut.push({ folder: where, why });
  for (const path of filesBelow(folder, { without, leaveOut })) {
    const file = path.toString('latin1');
    Atomics.add(count, 0, 1);
    try {
      const { backing, dataFile } = namesInSync(path);
      if (backing === null && dataFile === null) continue;
      found.named.push({ file, backing: textOf(backing), dataFile: textOf(dataFile) });
    } catch (error) {
      return { ...found, unread: { file, error: told(error) } };
    }
  }
  return found;
}
