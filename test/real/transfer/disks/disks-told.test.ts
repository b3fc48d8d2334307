/** What a client sees of disks that move together, and what is told when not all of them could. */
import { describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import { connectTo } from '../../../support/host/roles/blockflow-client.ts';
import {
  expectAllMoved,
  expectInVaultTogether,
  expectNoneMoved,
} from '../../../support/scenes/transfer/disks-proofs.ts';
import {
  startDisks,
  startDisksMove,
  untilDisks,
} from '../../../support/scenes/transfer/disks-scene.ts';
import { VAULT } from '../../../support/scenes/transfer/image-operations.ts';
import { LASTING, SLOW } from '../../../support/scenes/copying.ts';
import { startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { sourcesOf } from '../../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../../support/scenes/use-system.ts';
import { use } from '../../../support/use.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const system = useSystem(() => startMoveSystem({ name: 'disks-told' }));
const blockflow = use('the client', () => connectTo(system));

describe('A client', () => {
  it('sees the plan, each disk and all together, and changes their limit', async () => {
    const scene = await startDisks(system, 'seen', LASTING);
    const request = { vm: 'seen', to: VAULT, maxPauseMs: 20_000 };
    const plan = await blockflow.planDisks(request);
    expect(plan).toMatchObject({ kind: 'plan', switch: 'together', there: [] });
    const move = await blockflow.moveDisks({ ...request, bandwidthBytesPerSecond: SLOW });
    const { parts, progress, status } = await waitUntil('the progress of both', async () => {
      const view = await move.status();
      const isShown = view.parts.filter((part) => part.progress !== null).length === 2;
      return isShown && view;
    });
    expect(parts.map(({ disk }) => disk)).toEqual(['vda', 'vdb']);
    const totals = parts.map((part) => part.progress?.totalBytes ?? 0);
    expect(progress?.totalBytes).toBe(totals.reduce((sum, bytes) => sum + bytes));
    expect(status).toMatchObject({ phase: 'copying', switch: 'together' });
    expect(await move.setBandwidth(0)).toBe('no limit for each disk: vda, vdb');
    await expectAllMoved(scene, system.client.workflow.getHandle('seen'));
  });

  it('cancels all disks at once', async () => {
    const scene = await startDisks(system, 'unwanted', LASTING);
    const request = { vm: 'unwanted', to: VAULT, maxPauseMs: 20_000 };
    const move = await blockflow.moveDisks({ ...request, bandwidthBytesPerSecond: SLOW });
    await waitUntil('both mirrors', async () => (await move.status()).parts.length === 2);
    await move.cancel();
    await expect(move.result()).rejects.toThrow('the sources stay as they are');
    await expectNoneMoved(scene);
  });
});

describe('Of a VM that is down', () => {
  it('a disk that has moved stays so when another one ends: partly-moved', async () => {
    const scene = await startDisks(system, 'partly', { running: false, ...LASTING });
    const move = await startDisksMove(scene, { bandwidthBytesPerSecond: SLOW });
    const { workflow } = system.client;
    const isCopying = async (disk: string) =>
      (await blockflow.operation('partly', disk).catch(() => null)) !== null;
    await waitUntil('both moves', async () => (await isCopying('vda')) && isCopying('vdb'));
    await waitUntil('the limit of one disk to go', () =>
      workflow
        .getHandle('partly/vda')
        .executeUpdate('bandwidth', { args: [0] })
        .then(() => true)
        .catch(() => false),
    );
    await untilDisks(move, 'one disk that has moved', ({ disks }) =>
      disks.some(({ state }) => state === 'moved'),
    );
    await workflow.getHandle('partly/vdb').cancel();
    const failure = failureDetails(await move.result().catch((error: unknown) => error));
    expect(failure).toMatchObject({ type: 'Retry', details: { code: 'partly-moved' } });
    expect(failure?.details.now).toMatch(/^1 of 2 disks moved \(vda\); vdb failed/);
    const { disks, moved } = scene;
    const between = { ...disks, vda: moved['vda'] };
    expect(await sourcesOf(system, 'partly', '--inactive')).toEqual(between);
    await (await startDisksMove(scene)).result();
    await expectInVaultTogether(scene);
  });
});
