/**
 * Real tests that a plain `npm test` runs in turn, a third each day, so that it fits its time:
 * variations of merges and moves. What is not listed runs every day. `npm run test:all` runs all.
 */
import { existsSync } from 'node:fs';

const thirds = [
  [
    ...['transfer/negative-flows', 'merge/cold', 'merge/names', 'merge/space', 'merge/keeping'],
    ...[
      'operation/many-merges',
      'transfer/space',
      'operation/many-at-once',
      'merge/refusals',
      'pools/spm-lease',
    ],
    ...[
      'operation/header-io-errors',
      'pools/power-cut-pools',
      'transfer/limit',
      'operation/changed-meanwhile',
    ],
  ],
  [
    ...[
      'merge/negative-flows',
      'transfer/undo',
      'transfer/cancel',
      'transfer/format',
      'transfer/format-interrupted',
    ],
    ...[
      'merge/snapshots',
      'pools/pool-away',
      'transfer/at-once',
      'client/search-attributes',
      'support/support',
    ],
    ...['merge/io-errors', 'transfer/io-errors', 'pools/host-gone'],
  ],
  [
    ...[
      'merge/cancel',
      'pools/two-hosts',
      'transfer/preallocation',
      'transfer/refusals',
      'transfer/reflink',
    ],
    ...[
      'merge/converging',
      'merge/variants',
      'merge/refusals-storage',
      'client/demo',
      'client/package',
    ],
    ...['client/surface', 'merge/guest-io-errors', 'client/image-commands', 'transfer/repeated'],
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
