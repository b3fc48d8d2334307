/** `--on-vm-stop continue` of several disks: each goes on cold, and switches by itself. */
import { describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import { statusQuery } from '../../../../workflows/kinds.ts';
import { LASTING, SLOW } from '../../../support/scenes/copying.ts';
import { expectAllMoved } from '../../../support/scenes/transfer/disks-proofs.ts';
import {
  startDisks,
  startDisksMove,
  type DisksScene,
} from '../../../support/scenes/transfer/disks-scene.ts';
import { startMove, startMoveSystem } from '../../../support/scenes/transfer/move-scene.ts';
import { unlimit } from '../../../support/scenes/transfer/slow-move.ts';
import { useHeldSystem } from '../../../support/scenes/use-held-system.ts';
import { sourcesOf } from '../../../support/scenes/snapshot-scene.ts';
import { waitUntil } from '../../../support/wait-until.ts';

const { system, held } = useHeldSystem((how) => startMoveSystem({ ...how, name: 'disks-vm-stop' }));
const CONTINUE = { onVmStop: 'continue' } as const;
const pivots = async (vm: string) =>
  (await system.effects()).filter((line) => line.startsWith(`libvirt.pivot ${vm}/`));

/** The limit of each lets it copy for long. */
const untilMirrored = ({ guest, disks }: DisksScene) =>
  waitUntil('a mirror of each disk', async () => {
    const ids = Object.keys(disks).map((disk) => `${guest.name}/${disk}`);
    const phase = (id: string) =>
      system.client.workflow
        .getHandle(id)
        .query(statusQuery)
        .then((status) => status.phase)
        .catch(() => null);
    return (await Promise.all(ids.map(phase))).every((is) => is === 'mirroring');
  });

describe('The VM of a move with --on-vm-stop continue stops', () => {
  it('in the mirrors: all disks are moved cold', async () => {
    const scene = await startDisks(system, 'mirrors', LASTING);
    const options = { ...CONTINUE, bandwidthBytesPerSecond: SLOW };
    const move = await startDisksMove(scene, options);
    await untilMirrored(scene);
    await scene.guest.kill();
    await unlimit(move);
    expect(await expectAllMoved(scene, move)).toMatchObject({ stallMs: null });
    expect(await pivots('mirrors')).toEqual([]);
  });

  it('between the pivots of two disks: the second one is moved cold', async () => {
    const scene = await startDisks(system, 'pivots');
    held.holdBefore('vdb --pivot');
    const move = await startDisksMove(scene, CONTINUE);
    await held.untilHeld();
    await system.host.killQemu('pivots');
    held.release();
    await expectAllMoved(scene, move);
  });

  it('while one disk is kept as its user has decided: its source stays', async () => {
    const scene = await startDisks(system, 'kept');
    const image = { kind: 'disk', vm: 'kept', disk: 'vdb' } as const;
    held.holdBefore('vdb --abort');
    const options = { ...CONTINUE, waitForDecision: true, withOthers: true } as const;
    const move = await startMove(system, { image, ...options });
    await waitUntil('READY', async () => {
      return (await move.query(statusQuery)).phase === 'waiting for a decision';
    });
    await move.executeUpdate('decide', { args: ['keep'] });
    await held.untilHeld();
    await system.host.killQemu('kept');
    held.release();
    const failure = failureDetails(await move.result().catch((error: unknown) => error));
    expect(failure).toMatchObject({ details: { code: 'vm-stopped' } });
    expect(await sourcesOf(system, 'kept', '--inactive')).toEqual(scene.disks);
  });
});

it('A copy whose VM stops in the mirrors fails, and the VM stays on its disks', async () => {
  const scene = await startDisks(system, 'copied', LASTING);
  const copy = await startDisksMove(scene, { sources: 'keep', bandwidthBytesPerSecond: SLOW });
  await untilMirrored(scene);
  await scene.guest.kill();
  const failure = failureDetails(await copy.result().catch((error: unknown) => error));
  expect(failure).toMatchObject({ details: { code: 'vm-stopped' } });
  expect(await sourcesOf(system, 'copied', '--inactive')).toEqual(scene.disks);
});
