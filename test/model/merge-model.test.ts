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
import fc from 'fast-check';
import { commands, openWorld, setting } from './merge-run.ts';
import { heal } from './healing.ts';
import { testModel } from './model-check.ts';

const file = 'test/model/merge-model.test.ts';
testModel(file, 'no order of crashes and messages loses a flushed write or leaves a trace', {
  given: setting,
  commands,
  async play(bench, given, drawn) {
    const world = await openWorld(bench, given);
    await fc.asyncModelRun(() => ({ model: world, real: world }), drawn);
    await heal(world, given.leaveOff);
    const happened = world.reduce((sum, disk) => sum + disk.happened, 0);
    return { happened, ends: world.flatMap(({ ends }) => ends) };
  },
});
