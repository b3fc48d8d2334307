/** Files and file systems: one function per system call that blockflow needs. */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import {
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  stat,
  statfs,
  unlink,
  writeFile,
  type FileHandle,
} from './calls.ts';
import { nullIfMissing, type FilePath } from './paths.ts';
import { unlessSilent } from '../process/asking.ts';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

export interface FileFacts {
  identity: string;
  sizeBytes: number;
  allocatedBytes: number;
  modifiedNs: string;
}

/** Facts of the file behind a path (links followed), null when there is none. */
export async function observeFile(path: FilePath): Promise<FileFacts | null> {
  const s = await stat(path, { bigint: true }).catch(nullIfMissing);
  return (
    s && {
      identity: `${s.dev}:${s.ino}`,
      sizeBytes: Number(s.size),
      allocatedBytes: Number(s.blocks) * 512,
      modifiedNs: String(s.mtimeNs),
    }
  );
}

/** How many names a file has. */
export const linkCount = async (path: string) => (await lstat(path)).nlink;

/** Whether the last part of the path is a link. */
export const isLink = async (path: string) =>
  (await lstat(path).catch(nullIfMissing))?.isSymbolicLink() ?? false;

/** False for a link, a folder, a device, a fifo. */
export const isRegularOrMissing = async (path: string) =>
  (await lstat(path).catch(nullIfMissing))?.isFile() ?? true;

/**
 * Path with every link resolved; the path itself when it does not exist.
 * @throws Retry `storage-silent`: what was not seen is not known to be no link
 */
export const canonical = (path: string) => realpath(path).catch(unlessSilent(path));

const MANY_LINKS = 40;

/** What a name leads to that no file has, by links in it and by what may be a link itself. */
export async function leadsTo(path: string, left = MANY_LINKS): Promise<string> {
  const place = join(await canonical(dirname(path)), basename(path));
  const link = await readlink(place).catch(unlessSilent(null));
  if (link === null || left === 0) return place;
  return leadsTo(resolve(dirname(place), link), left - 1);
}

/**
 * Free and total bytes of the file system that holds `path`, as an unprivileged writer sees them.
 */
export async function observeSpace(
  path: string,
): Promise<{ freeBytes: number; totalBytes: number }> {
  const fs = await statfs(path);
  return { freeBytes: fs.bavail * fs.bsize, totalBytes: fs.blocks * fs.bsize };
}

/**
 * Makes a file durable, or the names in a folder: a rename is on disk only after this. A failure is
 * told once: what was written before it is not to be trusted, whatever a second call says.
 */
export const syncPath = (path: string): Promise<void> => withOpen(path, (file) => file.sync());

/** Lends a file that exists, opened for reading. */
export async function withOpen<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** @param to in a folder that is there */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to);
  for (const folder of new Set([dirname(to), dirname(from)])) await syncPath(folder);
}

/**
 * Gives a file its next name in the same folder, and never takes it from another: of two attempts
 * the first has given it, and what the other made is removed. Ended in between it leaves both
 * names, of one file. Durable when it returns.
 */
export async function renameOnce(from: string, to: string): Promise<void> {
  await linkFile(from, to);
  await unlinkDurably(from).catch(nullIfMissing);
}

export async function unlinkDurably(path: string): Promise<void> {
  await unlink(path);
  await syncPath(dirname(path));
}

/** Names in a folder, empty when it does not exist. */
export const listFolder = async (path: string) => (await readdir(path).catch(nullIfMissing)) ?? [];

export const readText = (path: string) => readFile(path, 'utf8');

/**
 * Gives other processes of ours a file with this text to open. Without a name it ends with its use,
 * or with this process.
 */
export async function withNamelessFile<T>(
  text: string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const name = join(tmpdir(), `blockflow-${randomUUID()}`);
  const file = await open(name, 'wx', 0o600);
  try {
    await unlink(name);
    await file.writeFile(text);
    return await use(`/proc/${process.pid}/fd/${file.fd}`);
  } finally {
    await file.close();
  }
}

interface Whole {
  /** What becomes of a file that has the name already. */
  ifThere: 'keep' | 'replace';
  mode?: number;
}

/** Writes a file that is complete and durable once it has its name. */
export async function writeWhole(
  path: string,
  text: string,
  { ifThere, mode = 0o666 }: Whole,
): Promise<void> {
  await withDraft(path, text, mode, (draft) =>
    ifThere === 'replace' ? rename(draft, path) : linkFile(draft, path).then(() => undefined),
  );
}

/**
 * The same for a name that is to be taken.
 * @returns false when it is taken, by another or by an earlier attempt
 */
export const takeName = (path: string, text: string, mode: number): Promise<boolean> =>
  withDraft(path, text, mode, (draft) => linkFile(draft, path));

async function withDraft<T>(
  path: string,
  text: string,
  mode: number,
  give: (draft: string) => Promise<T>,
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${randomUUID()}.new`;
  let given: T;
  try {
    await writeFile(draft, text, { mode, flush: true });
    given = await give(draft);
  } finally {
    // Also of a full disk, on which it is tried again and again.
    await unlink(draft).catch(nullIfMissing);
  }
  await syncPath(dirname(path));
  return given;
}

/** An empty file that only its owner reads, unless it is there. */
export async function createFile(path: string): Promise<void> {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
  const file = await open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600);
  await file.close();
}

/**
 * Gives a file one more name; `syncPath` of the folder makes it durable. `link` decides: it never
 * replaces a file (`mv -n` returns 0 on a clash).
 * @returns false when the name is taken
 */
export async function linkFile(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  return true;
}

/**
 * Near the end of a file system's space a write is short and returns no error: every count is
 * checked.
 */
export async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw new Error('the file system takes no more bytes');
    done += bytesWritten;
  }
}
