/**
 * Merges of two disks of one VM, with whatever may happen to them in any order, against the
 * simulator that test/support/contract/hypervisor-contract.ts holds to real QEMU and libvirt.
 * fast-check draws the commands, and shrinks those that fail.
 *
 * A plain run tries a few, with another BLOCKFLOW_SEED others. BLOCKFLOW_RUNS says how many (`npm
 * run test:model`: 1000). A failure prints BLOCKFLOW_SEED, BLOCKFLOW_PATH and BLOCKFLOW_REPLAY,
 * which play that run alone; shrunk, it becomes a test of merge-model-found.test.ts.
 * BLOCKFLOW_SHRINK=no stops at the first failure as it is.
 */
import { testModel } from './engine.ts';
import { mergeModel } from './merge-model.ts';

const file = 'test/model/merge-model.test.ts';
testModel(
  file,
  'no order of crashes and messages loses a flushed write or leaves a trace',
  mergeModel,
);
