/**
 * Moves, copies, removals and merges of one image, with whatever may happen to them in any order,
 * against the simulator that test/support/contract/hypervisor-contract-images.ts holds to real
 * storage. As merge-model.test.ts otherwise; a shrunk failure becomes a test of
 * image-model-found.test.ts.
 */
import { testModel } from './engine.ts';
import { imageModel } from './images/image-model.ts';

const file = 'test/model/image-model.test.ts';
testModel(file, 'no order of crashes and messages loses an image, or leaves a trace', imageModel);
