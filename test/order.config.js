/**
 * The order of the test files: the long ones first, so that none of them runs alone at the end. A
 * fresh clone has no measured times, and jest then goes by the size of the files.
 */
import Sequencer from '@jest/test-sequencer';

const longest = [
  'test/real/merge-restarts.test.ts',
  'test/real/move-negative-flows.test.ts',
  'test/real/merge-cancel.test.ts',
  'test/real/negative-flows.test.ts',
  'test/real/surface.test.ts',
  'test/real/merge-pause.test.ts',
  'test/real/merge-variants.test.ts',
  'test/real/spm-lease.test.ts',
  'test/real/two-hosts.test.ts',
  'test/crash/merge-matrix.test.ts',
  'test/real/move-format-interrupted.test.ts',
  'test/real/move-effects.test.ts',
  'test/real/hypervisor-contract.test.ts',
  'test/real/effects.test.ts',
  'test/real/merge-cold.test.ts',
  'test/web/web-ui.test.ts',
  'test/workflows/cancelling.test.ts',
  'test/workflows/waiting.test.ts',
  'test/real/tls-and-profiles.test.ts',
  'test/workflows/outcomes.test.ts',
  'test/workflows/history.test.ts',
  'test/real/package.test.ts',
  'test/real/live-merge.test.ts',
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
