/** Disks that wait for each other at READY: one falls behind what the guest writes meanwhile. */
import { describe, expect, it } from '@jest/globals';
import { expectGuestData, expectOneCut } from '../../../support/guest/guest-data.ts';
import { fallBehind, missedStall, SOON_MS } from '../../../support/scenes/backlog.ts';
import { expectAllMoved } from '../../../support/scenes/transfer/disks-proofs.ts';
import {
  startDisks,
  startDisksMove,
  untilDisks,
} from '../../../support/scenes/transfer/disks-scene.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { imagesOf, sourcesOf } from '../../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'disks-backlog' }));

/** All at READY, and vdb behind. */
async function behind(vm: string) {
  const scene = await startDisks(system, vm, { bytes: 6 * 2 ** 20 });
  const move = await startDisksMove(scene, { waitForDecision: true, maxPauseMs: 400 });
  await untilDisks(move, 'READY', ({ phase }) => phase === 'waiting for a decision');
  const hurry = await fallBehind(system, { vm, disk: 'vdb', target: scene.moved['vdb'] ?? '' });
  return { scene, move, hurry };
}

describe('Disks of which one falls behind after READY', () => {
  it('let the guest run on, and switch within one suspension once it fits', async () => {
    const { scene, move, hurry } = await behind('pivots');
    await move.executeUpdate('decide', { args: ['pivot'] });
    expect(await missedStall(move)).toBeLessThan(SOON_MS);
    await scene.guest.waitForAcks(20);
    await hurry();
    expect((await expectAllMoved(scene, move)).stallMs).toBeLessThan(SOON_MS);
  });

  it('let the guest run on, and are kept as of one moment', async () => {
    const { scene, move, hurry } = await behind('keeps');
    const { guest, disks, moved } = scene;
    await move.executeUpdate('decide', { args: ['keep'] });
    expect(await missedStall(move)).toBeLessThan(SOON_MS);
    const before = await guest.waitForAcks(20);
    await hurry();
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'kept', chainAfter: Object.values(moved) });
    expect(await sourcesOf(system, 'keeps')).toEqual(disks);
    await guest.kill();
    expect(await expectOneCut(guest, ...imagesOf(moved))).toBeGreaterThanOrEqual(before);
    await expectGuestData(guest, ...imagesOf(disks));
  });
});
