/** Which cases of a long list a plain `npm test` runs: some each day, all of them in turn. */

const DAY_MS = 86_400_000;

/**
 * Every `every`-th item, beginning at another one each day; all items with BLOCKFLOW_ALL_CASES set,
 * as `npm run test:crash` does.
 */
export function dailySample<T>(items: readonly T[], every: number, now = Date.now()): T[] {
  if (process.env['BLOCKFLOW_ALL_CASES']) return [...items];
  const day = Math.floor(now / DAY_MS);
  return items.filter((_, i) => (i + day) % every === 0);
}

/** How many drawn inputs to try of `whole`: a tenth, other ones in each run; all as above. */
export const drawn = (whole: number) => (process.env['BLOCKFLOW_ALL_CASES'] ? whole : whole / 10);
