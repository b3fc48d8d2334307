/** What the guest writes after READY faster than the target takes suspends it for no longer. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { fallBehind, missedStall, SOON_MS } from '../../../support/scenes/backlog.ts';
import { startDeltaScene } from '../../../support/scenes/transfer/delta-scene.ts';
import {
  expectKept,
  expectMoved,
  startLiveMove,
  targetsOf,
} from '../../../support/scenes/transfer/live-move-scene.ts';
import { expectMerged } from '../../../support/scenes/merge-proofs.ts';
import type { Scene } from '../../../support/scenes/merge-scene.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { useEach } from '../../../support/use.ts';
import { waitUntil } from '../../../support/wait-until.ts';
import { statusQuery } from '../../../../workflows/kinds.ts';
import { untilStatus } from '../../../support/scenes/until-status.ts';

const MIB = 2 ** 20;
const system = useSystem(() => startMoveSystem({ name: 'live-backlog' }));
const forTest = useEach();

let scene: Scene;
let count = 0;
beforeEach(async () => {
  scene = await forTest(startDeltaScene(system, { vm: `backlog${++count}`, bytes: 8 * MIB }));
});
const of = (target = '') => ({ vm: scene.guest.name, disk: 'vda', target });
const stallIn = (summary: string) => Number(/suspended for (\d+) ms/.exec(summary)?.[1]);

/** A move that is at READY, and behind. */
async function behind(options = {}) {
  const move = await startLiveMove(scene, { waitForDecision: true, ...options });
  await untilStatus(move, 'READY', ({ phase }) => phase === 'waiting for a decision');
  const hurry = await fallBehind(system, of(targetsOf(scene).at(-1)));
  return { move, hurry };
}

describe('A job that falls behind after READY', () => {
  it('lets the guest run on, and switches once what is left fits', async () => {
    const { move, hurry } = await behind();
    await move.executeUpdate('decide', { args: ['pivot'] });
    expect(await missedStall(move)).toBeLessThan(SOON_MS);
    await scene.guest.waitForAcks(20);
    await hurry();
    expect(stallIn((await expectMoved(scene, move)).summary)).toBeLessThan(SOON_MS);
  });

  it('suspends the guest for as long as it may, also without --converge', async () => {
    const { move, hurry } = await behind({ maxPauseMs: 60_000 });
    // What it has left takes 16 s at most, and the pivot waits for 45 s.
    await hurry(MIB / 2);
    await move.executeUpdate('decide', { args: ['pivot'] });
    const { summary, warnings } = await expectMoved(scene, move);
    expect(stallIn(summary)).toBeGreaterThan(200);
    expect(warnings).toEqual([]);
  });

  it('lets the guest run on, and is kept once what is left fits', async () => {
    const { move, hurry } = await behind();
    await move.executeUpdate('decide', { args: ['keep'] });
    expect(await missedStall(move)).toBeLessThan(SOON_MS);
    const acknowledged = await scene.guest.waitForAcks(20);
    await hurry();
    await expectKept(scene, move, acknowledged);
  });

  it('lets the guest run on in a merge, too', async () => {
    const merge = await system.merge({ vm: scene.guest.name, disk: 'vda', waitForDecision: true });
    await waitUntil(
      'READY',
      async () => (await merge.query(statusQuery)).phase === 'waiting for a decision',
    );
    const hurry = await fallBehind(system, of(scene.chain[0]));
    await merge.executeUpdate('decide', { args: ['pivot'] });
    expect(await missedStall(merge)).toBeLessThan(SOON_MS);
    await scene.guest.waitForAcks(20);
    await hurry();
    await expectMerged(scene, merge);
    expect((await merge.result()).stallMs).toBeLessThan(SOON_MS);
  });
});
