/** `--synchronous-writes`: what the guest writes reaches the copy whatever the limit is. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { startDeltaScene } from '../../../support/scenes/transfer/delta-scene.ts';
import {
  expectMoved,
  startLiveMove,
  startSlowMirror,
} from '../../../support/scenes/transfer/live-move-scene.ts';
import type { Scene } from '../../../support/scenes/merge-scene.ts';
import { effectsOn, startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { limit } from '../../../support/scenes/transfer/slow-move.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { useEach } from '../../../support/use.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const MIB = 2 ** 20;
const system = useSystem(() => startMoveSystem({ name: 'live-synchronous' }));
const forTest = useEach();

let scene: Scene;
let count = 0;
beforeEach(async () => {
  scene = await forTest(startDeltaScene(system, { vm: `sync${++count}`, bytes: 24 * MIB }));
});
const vm = () => scene.guest.name;
const mirrors = async () => (await effectsOn(system, 'libvirt.start-mirror', vm())).length;

/** The guest makes 6 MiB/s dirty. A limit holds QEMU back only after its first 16 MiB. */
const BELOW_THE_GUEST = 2 * MIB;

describe('A mirror with synchronous writes', () => {
  it('becomes READY below the rate of the guest, also one that was made again', async () => {
    const move = await startSlowMirror(scene, { synchronousWrites: true });
    await system.host.virsh('blockjob', vm(), 'vda', '--abort');
    await waitUntil('another mirror', async () => (await mirrors()) === 2);
    await limit(move, BELOW_THE_GUEST);
    await expectMoved(scene, move);
  });

  it('is not made of one that an earlier run has begun without', async () => {
    await (await startSlowMirror(scene, { synchronousWrites: false })).terminate();
    const move = await startLiveMove(scene, { synchronousWrites: true });
    await expectMoved(scene, move);
    expect(await mirrors()).toBe(2);
  });

  it('is gone on with by the same request', async () => {
    await (await startSlowMirror(scene, { synchronousWrites: true })).terminate();
    const move = await startLiveMove(scene, { synchronousWrites: true });
    await expectMoved(scene, move);
    expect(await mirrors()).toBe(1);
  });
});
