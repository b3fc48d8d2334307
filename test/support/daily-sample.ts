/** Which cases of a long list a plain `npm test` runs: some each day, all of them in turn. */

const DAY_MS = 86_400_000;
export const today = (now = Date.now()) => Math.floor(now / DAY_MS);

/** True for the long runs, as `npm run test:crash` is one. */
export const runsAllCases = Boolean(process.env['BLOCKFLOW_ALL_CASES']);

/** True in `npm run test:fast`. */
export const isFast = Boolean(process.env['BLOCKFLOW_FAST']);

/** Days between two turns of a file (`test/turns.mjs`). */
const TURNS = 3;

/**
 * Every `every`-th item, beginning at another one each day; all items when all cases run. A file
 * that runs every third day would meet the same third for ever, were days counted for that, too.
 */
export function dailySample<T>(items: readonly T[], every: number, now = Date.now()): T[] {
  if (runsAllCases) return [...items];
  const turn = every % TURNS === 0 ? Math.floor(today(now) / TURNS) : today(now);
  return items.filter((_, i) => (i + turn) % every === 0);
}

/** How many drawn inputs to try of `whole`: a tenth, other ones in each run; all as above. */
export const drawn = (whole: number) => (runsAllCases ? whole : whole / 10);
