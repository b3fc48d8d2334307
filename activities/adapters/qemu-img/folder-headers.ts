/**
 * What the files of a folder, and of those below it, name in their headers. A folder may hold ten
 * thousands of files, and each is opened: in a thread that takes a tenth of the time, and keeps
 * nothing else waiting.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { silent } from '../process/asking.ts';
import type { Answer, Named, Search, Told } from './folder-headers-thread.ts';
import type { FileNames } from './qcow2-header.ts';

/** Threads that stay while no search needs them. */
const KEPT = 4;
/** A search that has read no further file for so long meets a file system that hangs. */
const SILENT_AFTER_MS = 60_000;
const LOOK_EVERY_MS = 1000;

export interface FolderHeaders {
  /** Those files that name another one, in order. */
  named: readonly (FileNames & { file: Buffer })[];
  /** Folders that were not searched, or not to their end, and why. */
  leftOut: { folder: string; why: string }[];
  /** The first file that cannot be read, where the search has ended. */
  unread: { file: Buffer; error: Error } | null;
}

/**
 * Those who ask for one folder ask one after the other (`headers-below.ts`), so a file system that
 * hangs costs one thread.
 * @throws Retry `storage-silent`; of the file system, for the folder itself
 */
export async function readFolderHeaders(search: Search): Promise<FolderHeaders> {
  const { folder } = search;
  const earlier = hung.get(folder);
  if (earlier) await watched(folder, earlier);
  const reader = takeIdle(folder) ?? open();
  return watched(folder, { reader, answered: answerOf(reader, search) });
}

interface Reader {
  thread: Worker;
  /** Files that it has read, in memory that it shares. */
  count: Int32Array;
  /** What it has answered last, by folder. */
  answered: Map<string, FolderHeaders['named']>;
}
/** What a reader has been asked. */
interface Asked<T> {
  reader: Reader;
  answered: Promise<T>;
}
const idle: Reader[] = [];
/** Searches that were given up, by folder. */
const hung = new Map<string, Asked<unknown>>();

const ownPath = fileURLToPath(import.meta.url);
const script = new URL(`folder-headers-thread${extname(ownPath)}`, import.meta.url);

/** One that knows the folder, if there is one. */
function takeIdle(folder: string): Reader | undefined {
  const at = idle.findIndex(({ answered }) => answered.has(folder));
  return idle.splice(at, 1)[0];
}

function open(): Reader {
  const count = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  // What the environment holds is no business of it.
  const thread = new Worker(script, { env: {}, workerData: count });
  const reader: Reader = { thread, count, answered: new Map() };
  // One that ends while it is idle must not end the agent.
  reader.thread.on('error', () => {
    if (idle.includes(reader)) idle.splice(idle.indexOf(reader), 1);
  });
  return reader;
}

/** @throws Retry `storage-silent` once it has made no progress for a while */
async function watched<T>(folder: string, asked: Asked<T>): Promise<T> {
  const { promise: silence, reject } = Promise.withResolvers<never>();
  let [seen, sinceMs] = [-1, 0];
  const forget = () => void hung.delete(folder);
  const look = () => {
    const count = Atomics.load(asked.reader.count, 0);
    if (count !== seen) [seen, sinceMs] = [count, Date.now()];
    else if (Date.now() - sinceMs >= SILENT_AFTER_MS) {
      const answered = asked.answered.then(forget, forget);
      hung.set(folder, { reader: asked.reader, answered });
      // It must not keep this process alive.
      asked.reader.thread.unref();
      reject(silent(`reading the headers of the files in ${folder}`, SILENT_AFTER_MS));
    }
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  return Promise.race([asked.answered, silence]).finally(() => clearInterval(timer));
}

/** A reader that has answered, also late, is free for another search. */
async function answerOf(reader: Reader, search: Search): Promise<FolderHeaders> {
  const { thread, answered } = reader;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const ended = () => reject(new Error('the thread that reads headers has ended'));
  thread.once('message', resolve).once('error', reject).once('exit', ended);
  thread.ref();
  thread.postMessage(search);
  try {
    const answer = await promise;
    // Nor must one without a question.
    thread.unref();
    if (idle.length < KEPT) idle.push(reader);
    else void thread.terminate();
    if ('failed' in answer) throw asError(answer.failed);
    const { leftOut, unread } = answer;
    const named = answer.named?.map(asNamed) ?? answered.get(search.folder) ?? [];
    if (unread) return { named, leftOut, unread: asUnread(unread) };
    answered.set(search.folder, named);
    return { named, leftOut, unread };
  } finally {
    thread.off('message', resolve).off('error', reject).off('exit', ended);
  }
}

const asNamed = ({ file, backing, dataFile }: Named) => ({
  file: bytesOf(file),
  backing: backing.map(bytesOf),
  dataFile: dataFile.map(bytesOf),
});
const asUnread = ({ file, error }: { file: string; error: Told }) => ({
  file: bytesOf(file),
  error: asError(error),
});
const bytesOf = (text: string) => Buffer.from(text, 'latin1');
const asError = ({ message, code }: Told) => Object.assign(new Error(message), { code });
