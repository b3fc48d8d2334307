import { join } from 'node:path';
import { listFolder, readText } from '../adapters/files/files.ts';
import { nullIfMissing } from '../adapters/files/paths.ts';
import { eventIn, isEventFile, monthsIn } from './audit-log.ts';
import { entryNumbers, hashOf, lostBegin, readEntry, type ChainEntry } from './chain.ts';

/** What the chain of an audit log proves. */
export interface ChainProof {
  /** Events that are proven to be as they were written. */
  proven: number;
  /** Events in the chain whose month has been put away. */
  archived: number;
  /** Numbers of the first and the last entry; null without any. */
  range: { first: number; last: number } | null;
  /** Of the last entry: kept elsewhere, it shows when the newest events are removed later. */
  head: string | null;
  /** What is not as it was written, in words. */
  faults: string[];
}

/** Reads all of a log, by the chain and by its files. */
export async function verifyChain(folder: string): Promise<ChainProof> {
  const numbers = await entryNumbers(folder);
  const [first, last] = [numbers[0], numbers.at(-1)];
  const range = first === undefined || last === undefined ? null : { first, last };
  const proof: ChainProof = { proven: 0, archived: 0, range, head: null, faults: [] };
  const lost = await lostBegin(folder, numbers).catch((error: Error) => error.message);
  if (lost !== null) proof.faults.push(lost);
  const months = new Set(await monthsIn(folder));
  const chained = new Set<string>();
  for (let number = first ?? 1; number <= (last ?? 0); number += 1) {
    const found = await readEntry(folder, number).catch((error: Error) => error.message);
    if (typeof found === 'string') {
      proof.faults.push(`entry ${number}: ${found}`);
      proof.head = null;
      continue;
    }
    const { entry, text } = found;
    const isAgain = chained.has(fileOf(entry));
    chained.add(fileOf(entry));
    // Before the first one that is left nothing can be compared.
    const isLinked = number === first || proof.head === null || entry.previous === proof.head;
    if (!isLinked) proof.faults.push(`entry ${number}: the entry before it was changed`);
    if (entry.number !== number) proof.faults.push(`entry ${number}: it says ${entry.number}`);
    proof.head = hashOf(text);
    if (isAgain) continue;
    if (!months.has(entry.month)) proof.archived += 1;
    else await compare(folder, entry, proof);
  }
  await findUnchained(folder, months, chained, proof);
  return proof;
}

const fileOf = ({ month, id }: Pick<ChainEntry, 'month' | 'id'>) => join(month, `${id}.json`);

async function compare(folder: string, entry: ChainEntry, proof: ChainProof): Promise<void> {
  const text = await readText(join(folder, fileOf(entry))).catch(nullIfMissing);
  if (text === null) proof.faults.push(`${fileOf(entry)}: the event was removed`);
  else if (hashOf(text) !== entry.event) proof.faults.push(`${fileOf(entry)}: it was changed`);
  else proof.proven += 1;
}

async function findUnchained(
  folder: string,
  months: ReadonlySet<string>,
  chained: ReadonlySet<string>,
  { faults }: ChainProof,
): Promise<void> {
  for (const month of months) {
    for (const name of (await listFolder(join(folder, month))).filter(isEventFile)) {
      const file = join(month, name);
      if (chained.has(file)) continue;
      const event = eventIn(file, await readText(join(folder, file)));
      const what = event ? 'not in the chain: added by hand, or cut off by a crash' : 'no event';
      faults.push(`${file}: ${what}`);
    }
  }
}
