/** MoveImage of the disk of a running VM, whose guest writes all the time. */
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { backingName } from '../../../support/guest/disks/relative-chain.ts';
import {
  expectMoved,
  startLiveMove,
  targetsOf,
} from '../../../support/scenes/transfer/live-move-scene.ts';
import { SMALL } from '../../../support/scenes/merge-checks.ts';
import { POOL, startScene, type SceneOptions } from '../../../support/scenes/merge-scene.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { useEach } from '../../../support/use.ts';

const system = useSystem(() => startMoveSystem({ name: 'live' }));
const forTest = useEach();
const running = (options: SceneOptions) =>
  forTest(startScene({ system, guest: SMALL, ...options }));

describe('MoveImage of a running VM', () => {
  it.each([
    ['a single qcow2', { vm: 'one', layers: 0 }],
    ['a single raw image', { vm: 'flat', layers: 0, format: 'raw' }],
    ['an overlay on a raw image', { vm: 'mixed', layers: 1, format: 'raw' }],
  ] as const)('moves %s while the guest writes', async (_, options) => {
    const scene = await running(options);
    await expectMoved(scene, await startLiveMove(scene));
  });

  it('moves a chain of three with its snapshots', async () => {
    const scene = await running({ vm: 'three', layers: 2, snapshotNames: ['s1', 's2'] });
    const move = await startLiveMove(scene);
    const { verified, summary } = await move.result();
    expect(verified).toBe(false);
    expect(summary).toMatch(/guest suspended for \d+ ms/);
    const targets = targetsOf(scene);
    expect(await backingName(targets[2] ?? '')).toBe(targets[1]);
    for (const name of ['s1', 's2']) {
      const xml = await system.host.virsh('snapshot-dumpxml', 'three', name);
      expect(xml).not.toContain(join(system.host.pools, POOL));
    }
    await expectMoved(scene, move);
  });

  it('leaves a guest paused that its user had paused', async () => {
    const scene = await running({ vm: 'still', layers: 1 });
    await system.host.virsh('suspend', 'still');
    await expectMoved(scene, await startLiveMove(scene), 'paused');
  });
});
