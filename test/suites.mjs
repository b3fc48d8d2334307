/** Which tests go together: what `test/run.mjs` counts, and what it runs by the name of a suite. */

/** Folders of `test/`. */
export const suites = {
  fast: ['house', 'input', 'workflows', 'activities', 'worker', 'client', 'replay'],
  model: ['model'],
  real: ['real', 'crash'],
  web: ['web'],
};

/** Folders that only `--suite=NAME` runs: they need more than set-up brings. */
export const apart = {
  cluster: ['cluster'],
};

/** Folders and files that `--suite=NAME` runs. */
export const named = {
  /** The crash matrices, and whatever draws a sample of a long list in `npm test`. */
  crash: [
    'test/crash',
    'test/input',
    'test/real/operation/effects.test.ts',
    'test/real/operation/many-merges.test.ts',
    'test/real/merge/restarts.test.ts',
    'test/real/merge/io-errors.test.ts',
    'test/real/merge/pause.test.ts',
    'test/real/merge/cold.test.ts',
    'test/real/merge/pivot-windows.test.ts',
    'test/real/pools/spm-lease.test.ts',
    'test/real/pools/pool-away.test.ts',
    'test/real/transfer/format-interrupted.test.ts',
    'test/real/transfer/io-errors.test.ts',
    'test/real/transfer/negative-flows.test.ts',
    'test/real/transfer/live/live-windows.test.ts',
    'test/real/snapshot/create-inside.test.ts',
    'test/real/snapshot/delete-inside-interrupted.test.ts',
    'test/real/field/odd-layers.test.ts',
    'test/real/field/users.test.ts',
    'test/real/support/hypervisor-contract.test.ts',
    'test/workflows/operation/bad-requests.test.ts',
    'test/workflows/operation/large-audit-log.test.ts',
  ],
};
