/**
 * Real tests that a plain `npm test` runs in turn, a third each day, so that it fits its time:
 * variations of merges and moves. What is not listed runs every day. `npm run test:all` runs all.
 */
import { existsSync } from 'node:fs';

const thirds = [
  [
    ...['move-negative-flows', 'merge-cold', 'merge-names', 'merge-space', 'merge-keeping'],
    ...['many-merges', 'move-space', 'many-at-once', 'merge-refusals', 'spm-lease'],
    ...['header-io-errors', 'power-cut-pools', 'move-limit', 'changed-meanwhile'],
  ],
  [
    ...['negative-flows', 'move-undo', 'move-cancel', 'move-format', 'move-format-interrupted'],
    ...['merge-snapshots', 'pool-away', 'move-at-once', 'search-attributes', 'support'],
    ...['merge-io-errors', 'move-io-errors', 'host-gone'],
  ],
  [
    ...['merge-cancel', 'two-hosts', 'move-preallocation', 'move-refusals', 'move-reflink'],
    ...['merge-converging', 'merge-variants', 'merge-refusals-storage', 'demo', 'package'],
    ...['surface', 'guest-io-errors', 'image-commands', 'move-repeated'],
  ],
];

const missing = thirds
  .flat()
  .filter((name) => !existsSync(new URL(`real/${name}.test.ts`, import.meta.url)));
if (missing.length > 0) throw new Error(`test/turns.mjs names no file: ${missing.join(', ')}`);

const today = Math.floor(Date.now() / 86_400_000) % thirds.length;
/** Patterns of the files whose turn is another day. */
export const notToday = thirds
  .filter((_, third) => third !== today)
  .flat()
  .map((name) => `/test/real/${name}\\.test\\.ts$`);
