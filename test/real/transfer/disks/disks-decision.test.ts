/** `--wait-for-decision` of several disks: all mirrors stay until a person chooses for all. */
import { describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import type { MoveDisksRequest } from '../../../../workflows/transfer/disks/request.ts';
import { expectGuestData, expectOneCut } from '../../../support/guest/guest-data.ts';
import { expectAllMoved, expectNoneMoved } from '../../../support/scenes/transfer/disks-proofs.ts';
import {
  startDisks,
  startDisksMove,
  untilDisks,
  type DisksHandle,
  type DisksScene,
} from '../../../support/scenes/transfer/disks-scene.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { imagesOf, sourcesOf } from '../../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'disks-decision' }));
const pivots = async (vm: string) =>
  (await system.effects()).filter((line) => line.startsWith(`libvirt.pivot ${vm}/`));
const decide = (move: DisksHandle, choice: 'pivot' | 'keep') =>
  move.executeUpdate('decide', { args: [choice] });

async function waiting(
  scene: DisksScene,
  more: Partial<MoveDisksRequest> = {},
): Promise<DisksHandle> {
  const move = await startDisksMove(scene, { waitForDecision: true, ...more });
  await untilDisks(move, 'READY', ({ phase }) => phase === 'waiting for a decision');
  return move;
}

describe('Disks of a VM that wait for a decision', () => {
  it('switch in one suspension when it is pivot', async () => {
    const scene = await startDisks(system, 'pivots');
    const move = await waiting(scene);
    await scene.guest.waitForAcks(20);
    expect(await decide(move, 'pivot')).toBe('the VM will be switched to the copies of all disks');
    await expectAllMoved(scene, move);
    expect(await pivots('pivots')).toEqual(['libvirt.pivot pivots/vda']);
  });

  it('stay, and leave copies of one moment, when it is keep', async () => {
    const scene = await startDisks(system, 'keeps', { count: 3 });
    const { guest, disks, moved } = scene;
    const move = await waiting(scene);
    const before = await guest.waitForAcks(20);
    await decide(move, 'keep');
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'kept', chainAfter: Object.values(moved) });
    expect(result.removals).toEqual([]);
    expect(await sourcesOf(system, 'keeps')).toEqual(disks);
    await guest.waitForAcks(10);
    await guest.kill();
    expect(await expectOneCut(guest, ...imagesOf(moved))).toBeGreaterThanOrEqual(before);
    await expectGuestData(guest, ...imagesOf(disks));
  });

  it('are kept together only where they may stand still together', async () => {
    const scene = await startDisks(system, 'apart');
    const move = await waiting(scene, { maxPauseMs: 1 });
    await expect(decide(move, 'keep')).rejects.toThrow();
    await decide(move, 'pivot');
    await expectAllMoved(scene, move);
    expect(await pivots('apart')).toHaveLength(2);
  });

  it('are not kept together once one of them has been moved by itself', async () => {
    const scene = await startDisks(system, 'alone');
    const move = await waiting(scene);
    await system.client.workflow
      .getHandle('alone/vda')
      .executeUpdate('decide', { args: ['pivot'] });
    await untilDisks(move, 'vda to be moved', ({ disks }) =>
      disks.some(({ disk, state }) => disk === 'vda' && state === 'moved'),
    );
    await expect(decide(move, 'keep')).rejects.toMatchObject({
      cause: { message: expect.stringContaining('vda has been moved by itself') },
    });
    await decide(move, 'pivot');
    await expectAllMoved(scene, move);
  });

  it('stay as they are when it is cancelled', async () => {
    const scene = await startDisks(system, 'cancels');
    const move = await waiting(scene);
    await move.cancel();
    await expect(move.result()).rejects.toThrow();
    await expectNoneMoved(scene);
  });

  it('wait again when it was terminated and is repeated', async () => {
    const scene = await startDisks(system, 'again');
    await (await waiting(scene)).terminate();
    const move = await waiting(scene);
    await decide(move, 'pivot');
    await expectAllMoved(scene, move);
  });

  it('are refused of a VM that is down', async () => {
    const scene = await startDisks(system, 'down', { running: false });
    const move = await startDisksMove(scene, { waitForDecision: true });
    const failure = failureDetails(await move.result().catch((error: unknown) => error));
    expect(failure).toMatchObject({ type: 'Refused', details: { code: 'invalid-request' } });
  });
});
