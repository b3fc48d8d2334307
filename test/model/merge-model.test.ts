/**
 * Merges of two disks of one VM, with whatever may happen to them in any order, against the
 * simulator that test/support/hypervisor-contract.ts holds to real QEMU and libvirt. fast-check
 * draws the commands, and shrinks those that fail.
 *
 * A plain run tries a few, others each day. BLOCKFLOW_RUNS says how many (`npm run test:model`:
 * 1000). A failure prints BLOCKFLOW_SEED, BLOCKFLOW_PATH and BLOCKFLOW_REPLAY, which play that run
 * alone; shrunk, it becomes a test of merge-model-found.test.ts. BLOCKFLOW_SHRINK=no stops at the
 * first failure as it is.
 */
import { afterAll, beforeAll, it } from '@jest/globals';
import fc from 'fast-check';
import { startBench, type Bench } from '../support/workflow-bench.ts';
import { commands, openWorld, setting } from './merge-run.ts';
import { heal } from './healing.ts';
import { checkModel, Figures, LIMIT_MS, MAX_COMMANDS, REPLAY } from './model-check.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.close());

const figures = new Figures();
const property = fc.asyncProperty(
  setting,
  commands(MAX_COMMANDS, REPLAY),
  async (given, drawn) => {
    const world = await openWorld(bench, given);
    await fc.asyncModelRun(() => ({ model: world, real: world }), drawn);
    await heal(world, given.leaveOff);
    const happened = world.reduce((sum, disk) => sum + disk.happened, 0);
    figures.add(happened, world.flatMap(({ ends }) => ends));
  },
);

it(
  'no order of crashes and messages loses a flushed write or leaves a trace',
  () => checkModel('test/model/merge-model.test.ts', property, figures),
  LIMIT_MS,
);
