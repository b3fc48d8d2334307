/** `--synchronous-writes`: what the guest writes reaches the copy whatever the limit is. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { startDeltaScene } from '../../../support/scenes/transfer/delta-scene.ts';
import {
  expectMoved,
  startLiveMove,
  untilMirroring,
} from '../../../support/scenes/transfer/live-move-scene.ts';
import type { Scene } from '../../../support/scenes/merge-scene.ts';
import {
  diskOf,
  effectsOn,
  startMove,
  startMoveSystem,
} from '../../../support/scenes/transfer/move-scene.ts';
import { unlimit } from '../../../support/scenes/transfer/slow-move.ts';
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
const start = (synchronousWrites: boolean) =>
  startMove(system, {
    image: diskOf(vm()),
    bandwidthBytesPerSecond: 2 * MIB,
    synchronousWrites,
  });

describe('A mirror with synchronous writes', () => {
  it('becomes READY below the rate of the guest, also one that was made again', async () => {
    const move = await start(true);
    await untilMirroring(scene, move);
    await system.host.virsh('blockjob', vm(), 'vda', '--abort');
    await waitUntil('another mirror', async () => (await mirrors()) === 2);
    await expectMoved(scene, move);
  });

  it('is not made of one that an earlier run has begun without', async () => {
    const earlier = await start(false);
    await untilMirroring(scene, earlier);
    await earlier.terminate();
    await expectMoved(scene, await start(true));
    expect(await mirrors()).toBe(2);
  });

  it('is gone on with by the same request', async () => {
    const earlier = await start(true);
    await untilMirroring(scene, earlier);
    await earlier.terminate();
    const move = await startLiveMove(scene, { synchronousWrites: true });
    await unlimit(move);
    await expectMoved(scene, move);
    expect(await mirrors()).toBe(1);
  });
});
