/** `--on-vm-stop continue` of a move: it goes on cold with what it has copied. */
import { beforeEach, expect, it } from '@jest/globals';
import { armFault } from '../../../support/faults/faults.ts';
import { startDeltaScene } from '../../../support/scenes/transfer/delta-scene.ts';
import {
  expectMoved,
  expectNotMoved,
  startLiveMove,
  startSlowMirror,
} from '../../../support/scenes/transfer/live-move-scene.ts';
import type { Scene } from '../../../support/scenes/merge-scene.ts';
import { effectsOn, startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { unlimit } from '../../../support/scenes/transfer/slow-move.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { useEach } from '../../../support/use.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const MIB = 2 ** 20;
const system = useSystem(() => startMoveSystem({ name: 'live-vm-stop' }));
const forTest = useEach();

let scene: Scene;
let count = 0;
beforeEach(async () => {
  scene = await forTest(startDeltaScene(system, { vm: `stop${++count}`, bytes: 24 * MIB }));
});
/** Copies of cold volumes that were begun, by volume. */
const copies = async (file: string) => (await effectsOn(system, 'image.start-copy', file)).length;
const [BASE, TOP] = ['stop', '-snap1.qcow2'];
const base = () => `${BASE}${count}.qcow2`;
const top = () => `${BASE}${count}${TOP}`;

it('moves on cold when the VM stops in the mirror, its lower layer copied once', async () => {
  const move = await startSlowMirror(scene, { onVmStop: 'continue' });
  expect(await copies(base())).toBe(1);
  await scene.guest.kill();
  await waitUntil('the cold copy', async () => (await copies(top())) > 0);
  await unlimit(move);
  await expectMoved(scene, move, 'shut off');
  expect(await copies(base())).toBe(1);
});

it('does so when its agent dies before the file of the mirror is gone', async () => {
  const move = await startSlowMirror(scene, { onVmStop: 'continue' });
  armFault(system.trace, { effect: 'storage.unlink-copy', action: 'stop-before' });
  await scene.guest.kill();
  await system.roleStopped('spm');
  await move.terminate();
  await system.killRole('spm');
  await system.startRole('spm');
  const again = await startLiveMove(scene, { onVmStop: 'continue' });
  await expectMoved(scene, again, 'shut off');
  expect(await copies(base())).toBe(1);
});

it('is cancelled in its cold copy, and leaves the source', async () => {
  const move = await startSlowMirror(scene, { onVmStop: 'continue' });
  await scene.guest.kill();
  await waitUntil('the cold copy', async () => (await copies(top())) > 0);
  await move.cancel();
  await expect(move.result()).rejects.toThrow();
  await expectNotMoved(scene, move, 'shut off');
});
