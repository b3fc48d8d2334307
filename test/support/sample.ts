/**
 * Which cases of a long list a plain `npm test` runs: a sample drawn from a seed, the same one on
 * every day. `test/run.mjs` says the seed; BLOCKFLOW_SEED sets another one, which draws others.
 */
import { createHash } from 'node:crypto';

export const seed = Number(process.env['BLOCKFLOW_SEED'] ?? 0);

/** True for the long runs, as `npm run test:crash` is one. */
export const runsAllCases = Boolean(process.env['BLOCKFLOW_ALL_CASES']);

/** True in `npm run test:fast`. */
export const isFast = Boolean(process.env['BLOCKFLOW_FAST']);

/**
 * One of every `every` neighbours in a list, all items when all cases run.
 * @param list a name that no other list has
 */
export const sample = <T>(list: string, items: readonly T[], every: number): T[] =>
  runsAllCases ? [...items] : draw(seed, list, items, every);

/**
 * Which of its neighbours an item is drawn from does not depend on the other neighbours, nor on
 * other lists: choices that go together would be met together with every seed.
 */
export function draw<T>(from: number, list: string, items: readonly T[], every: number): T[] {
  const neighbours = Math.min(every, items.length);
  return items.filter((_, i) => {
    const group = Math.floor(i / every);
    return i % every === numberOf(`${from} ${list} ${group}`) % neighbours;
  });
}

const numberOf = (text: string) => createHash('sha256').update(text).digest().readUInt32BE();

/** How many drawn inputs to try of `whole`: a tenth; all as above. */
export const drawn = (whole: number) => (runsAllCases ? whole : whole / 10);
