import { describe, expect, it } from '@jest/globals';
import { expectMarks } from '../../support/guest/disks/layer-marks.ts';
import { expectLeftClean, merged, SMALL } from '../../support/scenes/merge-checks.ts';
import { startScene, type Scene, type SceneOptions } from '../../support/scenes/merge-scene.ts';
import { untilPhase } from '../../support/scenes/merge-proofs.ts';
import { expectNoLoss, verifyGuestData } from '../../support/guest/oracle.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

let scene: Scene;
const system = useSystem();
const forTest = useEach();

const start = async (options: SceneOptions) =>
  (scene = await forTest(startScene({ system, guest: SMALL, ...options })));

/** Base alone holds every write that was acknowledged when the merge was over, or began. */
async function expectBaseComplete({ chain, guest }: Scene, acknowledged: number): Promise<void> {
  const base = chain[0] as string;
  const report = await verifyGuestData({
    imagePath: base,
    format: 'qcow2',
    acknowledged,
    issued: guest.acknowledged() + guest.disk.parameters.ackEvery,
    parameters: guest.disk.parameters,
    forceShare: true,
  });
  expectNoLoss(report);
  await expectMarks(guest, base, 'qcow2');
}

const waitForDecision = async (vm: string) => {
  const merge = await system.merge({ vm, disk: 'vda', waitForDecision: true });
  await untilPhase(merge, 'waiting for a decision');
  return merge;
};

describe('what a merge keeps', () => {
  it('keeps the overlay in the chain and leaves a base that is complete', async () => {
    const { chain, guest, verifyAfterCrash } = await start({ vm: 'overlay', layers: 2 });
    const acknowledged = guest.acknowledged();
    const result = await merged(system, { vm: 'overlay', disk: 'vda', keepOverlay: true });
    expect(result).toMatchObject({ outcome: 'kept', chainAfter: chain, deleted: [] });
    await expectBaseComplete(scene, acknowledged);
    await guest.waitForAcks(20);
    const files = ['overlay.qcow2', 'overlay-snap1.qcow2', 'overlay-snap2.qcow2'];
    await expectLeftClean(scene, files);
    expect(await system.host.virsh('blockjob', 'overlay', 'vda')).toContain('No current block job');
    await verifyAfterCrash();
  });

  it('keeps the files of a short chain when it has --keep-volumes', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'volumes', layers: 2 });
    const result = await merged(system, { vm: 'volumes', disk: 'vda', keepVolumes: true });
    expect(result).toMatchObject({
      outcome: 'merged',
      chainAfter: chain.slice(0, 1),
      deleted: [],
      regainedBytes: 0,
    });
    const files = ['volumes.qcow2', 'volumes-snap1.qcow2', 'volumes-snap2.qcow2'];
    await expectLeftClean(scene, files);
    await verifyAfterCrash();
  });

  it('waits at READY with --wait-for-decision, and pivots when it is told to', async () => {
    const { chain, guest, verifyAfterCrash } = await start({ vm: 'pivot' });
    const merge = await waitForDecision('pivot');
    await guest.waitForAcks(20);
    await merge.executeUpdate('decide', { args: ['pivot'] });
    expect(await merge.result()).toMatchObject({
      outcome: 'merged',
      chainAfter: chain.slice(0, 1),
      deleted: chain.slice(1),
    });
    await expectLeftClean(scene, ['pivot.qcow2']);
    await verifyAfterCrash();
  });

  it('waits at READY with --wait-for-decision, and keeps the overlay when told to', async () => {
    const { chain, guest, verifyAfterCrash } = await start({ vm: 'keep' });
    const merge = await waitForDecision('keep');
    const acknowledged = await guest.waitForAcks(20);
    await merge.executeUpdate('decide', { args: ['keep'] });
    expect(await merge.result()).toMatchObject({ outcome: 'kept', chainAfter: chain });
    await expectBaseComplete(scene, acknowledged);
    await expectLeftClean(scene, ['keep.qcow2', 'keep-snap1.qcow2']);
    await verifyAfterCrash();
  });
});
