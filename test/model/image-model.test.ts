/**
 * Moves, copies, removals and merges of one image, with whatever may happen to them in any order,
 * against the simulator that test/support/hypervisor-contract-images.ts holds to real storage. As
 * merge-model.test.ts otherwise; a shrunk failure becomes a test of image-model-found.test.ts.
 */
import { afterAll, beforeAll, it } from '@jest/globals';
import fc from 'fast-check';
import { startBench, type Bench } from '../support/workflow-bench.ts';
import { heal, imageCommands, manner, openImage, orGiveUp } from './image-run.ts';
import { checkModel, Figures, LIMIT_MS, MAX_COMMANDS, REPLAY } from './model-check.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.close());

const figures = new Figures();
const property = fc.asyncProperty(
  manner,
  imageCommands(MAX_COMMANDS, REPLAY),
  async (given, drawn) => {
    const world = await openImage(bench, given);
    await orGiveUp(world, async () => {
      await fc.asyncModelRun(() => ({ model: world, real: world }), drawn);
      await heal(world);
    });
    const ends = world.operations.map(({ wish, role, end }) => `${wish?.what ?? role} ${end}`);
    figures.add(world.happened, ends);
  },
);

it(
  'no order of crashes and messages loses an image, or leaves a trace',
  () => checkModel('test/model/image-model.test.ts', property, figures),
  LIMIT_MS,
);
