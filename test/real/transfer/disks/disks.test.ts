/** Several disks of a VM that move, or are copied, together. */
import { expect, it, describe } from '@jest/globals';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import { expectGuestData, expectOneCut } from '../../../support/guest/guest-data.ts';
import {
  expectAllMoved,
  expectInVaultTogether,
  expectNoneMoved,
} from '../../../support/scenes/transfer/disks-proofs.ts';
import {
  startDisks,
  startDisksMove,
  untilDisks,
  type DisksHandle,
} from '../../../support/scenes/transfer/disks-scene.ts';
import { LASTING, SLOW } from '../../../support/scenes/copying.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { imagesOf, sourcesOf } from '../../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'disks' }));

const failureOf = async (move: DisksHandle) =>
  failureDetails(await move.result().catch((error: unknown) => error));
const pivots = async (vm: string) =>
  (await system.effects()).filter((line) => line.startsWith(`libvirt.pivot ${vm}/`));
const untilCopying = (move: DisksHandle) =>
  untilDisks(
    move,
    'all mirrors',
    ({ disks }) => disks.length > 0 && disks.every(({ state }) => state === 'copying'),
  );

describe('all disks of a VM', () => {
  it('that runs switch in one suspension, and no write is lost', async () => {
    const scene = await startDisks(system, 'runs', { count: 3 });
    const result = await expectAllMoved(scene, await startDisksMove(scene));
    expect(result.stallMs).toBeGreaterThan(0);
    expect(result.removals).toHaveLength(3);
    expect(await pivots('runs')).toEqual(['libvirt.pivot runs/vda']);
  });

  it('that is down move one by one, and it starts from there', async () => {
    const scene = await startDisks(system, 'down', { running: false });
    const result = await expectAllMoved(scene, await startDisksMove(scene));
    expect(result.stallMs).toBeNull();
    await scene.guest.start();
    await scene.guest.waitForAcks(5);
    await scene.guest.kill();
    expect(await pivots('down')).toEqual([]);
  });

  it('switch one after the other where the guest would stand still for too long', async () => {
    const scene = await startDisks(system, 'turns');
    const result = await expectAllMoved(scene, await startDisksMove(scene, { maxPauseMs: 1 }));
    expect(result.stallMs).toBeNull();
    expect((await pivots('turns')).sort()).toEqual([
      'libvirt.pivot turns/vda',
      'libvirt.pivot turns/vdb',
    ]);
  });

  it('that are there already are no work; a disk that is named alone moves alone', async () => {
    const scene = await startDisks(system, 'named');
    const one = await (await startDisksMove(scene, { disks: ['vdb'] })).result();
    expect(one).toMatchObject({ outcome: 'moved', disks: [{ disk: 'vdb', state: 'moved' }] });
    const { moved, disks } = scene;
    expect(await sourcesOf(system, 'named')).toEqual({ ...disks, vdb: moved['vdb'] });
    const rest = await (await startDisksMove(scene)).result();
    expect(rest).toMatchObject({ outcome: 'moved', disks: [{ disk: 'vda' }] });
    expect(rest.warnings).toContain('vdb was there already');
    await expectInVaultTogether(scene);
    const again = await startDisksMove(scene);
    expect(await again.result()).toMatchObject({ outcome: 'already-done' });
  });
});

describe('a copy of all disks of a VM that runs', () => {
  it('is of one moment, and the VM goes on with its own', async () => {
    const scene = await startDisks(system, 'copied', { count: 3 });
    const { guest, disks, moved } = scene;
    const before = guest.acknowledged();
    const copy = await startDisksMove(scene, { sources: 'keep' });
    const result = await copy.result();
    expect(result).toMatchObject({ outcome: 'copied', chainAfter: Object.values(moved) });
    expect(await sourcesOf(system, 'copied')).toEqual(disks);
    await guest.waitForAcks(10);
    await guest.kill();
    expect(await expectOneCut(guest, ...imagesOf(moved))).toBeGreaterThanOrEqual(before);
    await expectGuestData(guest, ...imagesOf(disks));
  });

  it('is refused where its disks could not be of one moment within --max-pause', async () => {
    const scene = await startDisks(system, 'hasty');
    const copy = await startDisksMove(scene, { sources: 'keep', maxPauseMs: 1 });
    const failure = await failureOf(copy);
    expect(failure).toMatchObject({ type: 'Refused', details: { code: 'pause-too-long' } });
    await expectNoneMoved(scene);
  });
});

describe('before its disks have switched', () => {
  it('a cancel leaves every source as it was', async () => {
    const scene = await startDisks(system, 'cancelled', LASTING);
    const move = await startDisksMove(scene, { bandwidthBytesPerSecond: SLOW });
    await untilCopying(move);
    await move.cancel();
    await expect(move.result()).rejects.toThrow();
    await expectNoneMoved(scene);
  });

  it('the end of one disk ends all, and says which', async () => {
    const scene = await startDisks(system, 'ended', LASTING);
    const move = await startDisksMove(scene, { bandwidthBytesPerSecond: SLOW });
    await untilCopying(move);
    await system.client.workflow.getHandle('ended/vdb').cancel();
    const failure = await failureOf(move);
    expect(failure).toMatchObject({ type: 'Retry', details: { code: 'job-lost' } });
    expect(failure?.details.now).toContain('its move was cancelled');
    await expectNoneMoved(scene);
  });

  it('a refused disk refuses all', async () => {
    const scene = await startDisks(system, 'refused');
    const failure = await failureOf(await startDisksMove(scene, { disks: ['vda', 'vdz'] }));
    expect(failure).toMatchObject({ type: 'Refused', details: { code: 'unknown-disk' } });
    await expectNoneMoved(scene);
  });

  it('a terminate leaves the moves of the disks, which the same request adopts', async () => {
    const scene = await startDisks(system, 'adopted', LASTING);
    const move = await startDisksMove(scene, { bandwidthBytesPerSecond: SLOW });
    await untilCopying(move);
    await move.terminate();
    const again = await startDisksMove(scene);
    await untilCopying(again);
    await again.executeUpdate('bandwidth', { args: [0] });
    await expectAllMoved(scene, again);
    expect(await pivots('adopted')).toEqual(['libvirt.pivot adopted/vda']);
  });
});
