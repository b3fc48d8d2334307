/**
 * The order of the test files: the long ones first, so that none of them runs alone at the end. A
 * fresh clone has no measured times, and jest then goes by the size of the files.
 */
import Sequencer from '@jest/test-sequencer';

const longest = [
  'test/real/merge/restarts.test.ts',
  'test/real/transfer/negative-flows.test.ts',
  'test/real/merge/cancel.test.ts',
  'test/real/merge/negative-flows.test.ts',
  'test/real/client/surface.test.ts',
  'test/real/merge/pause.test.ts',
  'test/real/merge/variants.test.ts',
  'test/real/pools/spm-lease.test.ts',
  'test/real/pools/two-hosts.test.ts',
  'test/crash/merge-matrix.test.ts',
  'test/real/transfer/format-interrupted.test.ts',
  'test/real/support/hypervisor-contract.test.ts',
  'test/real/operation/effects.test.ts',
  'test/real/merge/cold.test.ts',
  'test/web/web-ui.test.ts',
  'test/workflows/merge/cancelling.test.ts',
  'test/workflows/operation/waiting.test.ts',
  'test/real/client/tls-and-profiles.test.ts',
  'test/workflows/merge/outcomes.test.ts',
  'test/workflows/merge/history.test.ts',
  'test/real/client/package.test.ts',
  'test/real/merge/live-merge.test.ts',
  'test/crash/move-matrix.test.ts',
];

const rank = (path) => {
  const at = longest.findIndex((file) => path.endsWith(file));
  return at === -1 ? longest.length : at;
};

export default class LongestFirst extends Sequencer {
  async sort(tests) {
    return (await super.sort(tests)).sort((a, b) => rank(a.path) - rank(b.path));
  }
}
