/**
 * Headers that were read already: a chain of many layers costs one process a layer, and only its
 * active one changes. A file is known by its inode and its times; it is opened for them, as NFS
 * looks at the server then.
 */
import { constants } from 'node:fs';
import { open } from '../files/calls.ts';
import { stateIn, type FileState } from '../files/file-state.ts';
import { keepNewest } from '../keep-newest.ts';

const { O_RDONLY, O_NONBLOCK } = constants;

const MOST = 20_000;

interface Known<T> {
  state: string;
  header: T;
}

export interface KnownHeaders<T> {
  /** What `read` says of the file, or has said of it when it was as it is now. */
  get(path: string, read: () => Promise<T>): Promise<T>;
}

/** @param nowMs the clock */
export function createKnownHeaders<T>(nowMs: () => number = Date.now): KnownHeaders<T> {
  const known = new Map<string, Known<T>>();

  async function stateOf(path: string): Promise<FileState | null> {
    // A fifo would wait for its writer. What cannot be opened is the matter of who reads it.
    const file = await open(path, O_RDONLY | O_NONBLOCK).catch(() => null);
    if (!file) return null;
    try {
      return stateIn(await file.stat({ bigint: true }), nowMs());
    } finally {
      await file.close();
    }
  }

  return {
    async get(path, read) {
      const before = await stateOf(path);
      const found = known.get(path);
      if (before && found?.state === before.state) return found.header;
      known.delete(path);
      const header = await read();
      if (before?.isSettled) keepNewest(known, path, { state: before.state, header }, MOST);
      return header;
    },
  };
}
