/**
 * What makes a change of the audit log visible: a chain of small files, each with the hash of an
 * event and of the entry before. A number is taken by giving a file its name, so that two
 * orchestrators never make two entries of one number, and a crash leaves no half entry.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { listFolder, readText, takeName } from '../adapters/files/files.ts';
import { nullIfMissing } from '../adapters/files/paths.ts';
import { parseJsonReply } from '../adapters/reply.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const chainEntry = z.strictObject({
  number: z.int().positive(),
  /** Where the event is. */
  month: z.string(),
  id: z.string(),
  /** Of the text of the event's file. */
  event: hash,
  /** Of the text of the entry before; null for the first one. */
  previous: hash.nullable(),
});
export type ChainEntry = z.infer<typeof chainEntry>;

export const hashOf = (text: string) => createHash('sha256').update(text).digest('hex');

/** A thousand entries a folder, so that old ones can be put away. */
const PER_FOLDER = 1000;
const digits = (number: number) => String(number).padStart(9, '0');
const chainIn = (folder: string) => join(folder, 'chain');

export function entryPath(folder: string, number: number): string {
  const part = digits(Math.floor(number / PER_FOLDER) * PER_FOLDER);
  return join(chainIn(folder), part, `${digits(number)}.json`);
}

const isPart = (name: string) => /^\d{9}$/.test(name);
const isEntry = (name: string) => /^\d{9}\.json$/.test(name);

/** The numbers of all entries, ascending. */
export async function entryNumbers(folder: string): Promise<number[]> {
  const numbers: number[] = [];
  for (const part of (await listFolder(chainIn(folder))).filter(isPart).sort()) {
    const names = (await listFolder(join(chainIn(folder), part))).filter(isEntry);
    numbers.push(...names.sort().map((name) => parseInt(name, 10)));
  }
  return numbers;
}

export async function readEntry(folder: string, number: number) {
  const path = entryPath(folder, number);
  const text = await readText(path);
  return { text, entry: parseJsonReply(chainEntry, path, text) };
}

/** What appends to a log, one after the other; other processes are met by the names of files. */
const queues = new Map<string, Promise<unknown>>();

export function inTurn<T>(folder: string, append: () => Promise<T>): Promise<T> {
  const done = (queues.get(folder) ?? Promise.resolve()).then(append);
  queues.set(
    folder,
    done.catch(() => undefined),
  );
  return done;
}

/**
 * Appends the event of this text, unless `mayBeThere` and it is. Two processes that repeat one
 * event at once may make two entries of it, which say the same. Durable when it returns.
 */
export async function ensureChained(
  folder: string,
  event: Pick<ChainEntry, 'month' | 'id'> & { text: string; mayBeThere: boolean },
): Promise<void> {
  const { month, id, text, mayBeThere } = event;
  if (mayBeThere && (await isChained(folder, id))) return;
  for (let last = await lastNumber(folder); ; last += 1) {
    const previous = last === 0 ? null : hashOf(await readText(entryPath(folder, last)));
    const entry: ChainEntry = { number: last + 1, month, id, event: hashOf(text), previous };
    const path = entryPath(folder, entry.number);
    if (await takeName(path, `${JSON.stringify(entry)}\n`, 0o600)) break;
  }
  await ensureBegun(folder);
}

/** Beside the log, so that a log that was removed is not taken for one that has no events yet. */
const begunPath = (folder: string) => `${folder}.begun`;
const begun = z.strictObject({ number: z.int().positive(), hash });
const noted = new Set<string>();

/** Notes the first entry of the log, once. */
async function ensureBegun(folder: string): Promise<void> {
  if (noted.has(folder)) return;
  const [number] = await entryNumbers(folder);
  if (number === undefined) return;
  const { text } = await readEntry(folder, number);
  const note: z.infer<typeof begun> = { number, hash: hashOf(text) };
  await takeName(begunPath(folder), `${JSON.stringify(note)}\n`, 0o600);
  noted.add(folder);
}

/**
 * @param numbers of the entries that are there
 * @returns what became of the log that began here, in words; null when it is this one
 */
export async function lostBegin(folder: string, numbers: readonly number[]) {
  const path = begunPath(folder);
  const text = await readText(path).catch(nullIfMissing);
  if (text === null) return null;
  if (numbers.length === 0) return 'the audit log that began here was removed';
  const { number, hash: first } = parseJsonReply(begun, path, text);
  // Old entries may have been put away.
  if (!numbers.includes(number)) return null;
  const now = hashOf((await readEntry(folder, number)).text);
  return now === first ? null : `entry ${number}: another log began here, and was removed`;
}

async function lastNumber(folder: string): Promise<number> {
  const last = async (path: string, is: (name: string) => boolean) =>
    (await listFolder(path)).filter(is).sort().at(-1);
  const part = await last(chainIn(folder), isPart);
  if (part === undefined) return 0;
  const name = await last(join(chainIn(folder), part), isEntry);
  // A folder without an entry: its first one was being made.
  return name === undefined ? Math.max(0, Number(part) - 1) : parseInt(name, 10);
}

/** The newest first: what is repeated is seldom old. */
async function isChained(folder: string, id: string): Promise<boolean> {
  for (const number of (await entryNumbers(folder)).reverse()) {
    const { entry } = await readEntry(folder, number);
    if (entry.id === id) return true;
  }
  return false;
}
