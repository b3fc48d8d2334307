/**
 * What the files of a folder, and of those below it, name in their headers. A folder may hold ten
 * thousands of files, and each is opened: in a thread that takes a tenth of the time, and keeps
 * nothing else waiting.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Answer, Search, Told } from './folder-headers-thread.ts';
import type { FileNames } from './qcow2-header.ts';

/** Each waits for its file system, which may hang. */
const AT_ONCE = 4;

export interface FolderHeaders {
  /** Those files that name another one. */
  named: (FileNames & { file: Buffer })[];
  /** Folders that were not searched, or not to their end, and why. */
  leftOut: { folder: string; why: string }[];
  /** The first file that cannot be read, where the search has ended. */
  unread: { file: Buffer; error: Error } | null;
}

/** @throws of the file system, for the folder itself */
export async function readFolderHeaders(search: Search): Promise<FolderHeaders> {
  const thread = await take();
  try {
    return await ask(thread, search);
  } finally {
    giveBack(thread);
  }
}

const ownPath = fileURLToPath(import.meta.url);
const script = new URL(`folder-headers-thread${extname(ownPath)}`, import.meta.url);
const all = new Set<Worker>();
const idle: Worker[] = [];
const waiting: (() => void)[] = [];

async function take(): Promise<Worker> {
  for (;;) {
    const found = idle.pop();
    if (found) return found;
    if (all.size < AT_ONCE) return open();
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
}

function open(): Worker {
  // What the environment holds is no business of it.
  const thread = new Worker(script, { env: {} });
  all.add(thread);
  return thread.once('exit', () => all.delete(thread));
}

function giveBack(thread: Worker): void {
  // A thread without a question must not keep this process alive.
  thread.unref();
  if (all.has(thread)) idle.push(thread);
  waiting.shift()?.();
}

async function ask(thread: Worker, search: Search): Promise<FolderHeaders> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const ended = () => reject(new Error('the thread that reads headers has ended'));
  thread.ref();
  thread.once('message', resolve).once('error', reject).once('exit', ended);
  thread.postMessage(search);
  try {
    const answer = await promise;
    if ('failed' in answer) throw asError(answer.failed);
    const { named, leftOut, unread } = answer;
    return {
      named: named.map(({ file, backing, dataFile }) => ({
        file: bytesOf(file),
        backing: backing === null ? null : bytesOf(backing),
        dataFile: dataFile === null ? null : bytesOf(dataFile),
      })),
      leftOut,
      unread: unread && { file: bytesOf(unread.file), error: asError(unread.error) },
    };
  } finally {
    thread.off('message', resolve).off('error', reject).off('exit', ended);
  }
}

const bytesOf = (text: string) => Buffer.from(text, 'latin1');
const asError = ({ message, code }: Told) => Object.assign(new Error(message), { code });
