/**
 * Moves, copies, removals and merges of one image, with whatever may happen to them in any order,
 * against the simulator that test/support/contract/hypervisor-contract-images.ts holds to real
 * storage. As merge-model.test.ts otherwise; a shrunk failure becomes a test of
 * image-model-found.test.ts.
 */
import fc from 'fast-check';
import { heal, imageCommands, manner, openImage, orGiveUp } from './image-run.ts';
import { testModel } from './model-check.ts';

const file = 'test/model/image-model.test.ts';
testModel(file, 'no order of crashes and messages loses an image, or leaves a trace', {
  given: manner,
  commands: imageCommands,
  async play(bench, given, drawn) {
    const world = await openImage(bench, given);
    await orGiveUp(world, async () => {
      await fc.asyncModelRun(() => ({ model: world, real: world }), drawn);
      await heal(world);
    });
    const ends = world.operations.map(({ wish, role, end }) => `${wish?.what ?? role} ${end}`);
    return { happened: world.happened, ends };
  },
});
