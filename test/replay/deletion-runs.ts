/** How each history of a deletion of a snapshot comes about. */
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { whileHeld } from '../../activities/adapters/qemu-img/qemu-img.ts';
import { statusQuery } from '../../workflows/kinds.ts';
import { createImage } from '../support/guest/shut-off-vm.ts';
import { layerOf, startThreeDisks, type ThreeDisks } from '../support/guest/disks/three-disks.ts';
import { takeInner } from '../support/guest/disks/inner-snapshots.ts';
import { startInside } from '../support/scenes/inside-scene.ts';
import { deleteSnapshot, startDeletion } from '../support/scenes/snapshot-scene.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { Run, Stage } from './image-stage.ts';
import type { DeletionRecordingName } from './recorded.ts';

const start = (
  { client, vm }: Stage,
  more: { name?: string; atOnce?: number; bandwidthBytesPerSecond?: number } = {},
): Promise<WorkflowHandle> => startDeletion({ client }, { vm, name: 'one', ...more });

/** The VM is down, unless it has to be slow. */
const withSnapshots = ({ system, vm }: Stage, mebibytes = 1): Promise<ThreeDisks> =>
  startThreeDisks({ system, vm, snapshots: ['one', 'two'], mebibytes, running: mebibytes > 1 });

/** vda is merged, vdb is being merged, vdc waits. */
async function untilOneOfThree(stage: Stage) {
  const scene = await withSnapshots(stage, 48);
  await stage.system.host.virsh('suspend', stage.vm);
  const slow = { name: 'two', atOnce: 1, bandwidthBytesPerSecond: 65_536 };
  const deletion = await start(stage, slow);
  await waitUntil('the first merge to end', async () => {
    const status = await deletion.query(statusQuery);
    const states = 'disks' in status ? JSON.stringify(status.disks) : '';
    return /merged.*merging.*waiting/.test(states);
  });
  return { scene, deletion };
}

export const deletionRun: Record<DeletionRecordingName, Run> = {
  async 'snapshot-deleted'(stage) {
    await withSnapshots(stage);
    return start(stage);
  },
  async 'snapshot-deletion-already-done'(stage) {
    await withSnapshots(stage);
    await (await start(stage)).result();
    return start(stage);
  },
  async 'snapshot-deletion-refused'(stage) {
    await withSnapshots(stage);
    return start(stage, { name: 'none' });
  },
  async 'snapshot-deletion-cancelled'(stage) {
    const { deletion } = await untilOneOfThree(stage);
    await deletion.cancel();
    return deletion;
  },
  async 'snapshot-deleted-inside'({ system, client, vm }) {
    await startInside(system, vm, ['one', 'two']);
    return startDeletion({ client }, { vm, name: 'one', scope: 'children' });
  },
  async 'snapshot-deleted-inside-live'({ system, client, vm }) {
    const { guest } = await startInside(system, vm, ['one']);
    await guest.start(60_000);
    return startDeletion({ client }, { vm, name: 'one' });
  },
  async 'snapshot-deleted-inside-already'({ system, client, vm }) {
    const { images } = await startInside(system, vm, []);
    await takeInner(images.vdb, 'one');
    const only = { disk: 'vdb', handle: { format: 'qcow2', id: '1', name: 'one' } } as const;
    await deleteSnapshot({ client }, { vm, name: 'one', only });
    return startDeletion({ client }, { vm, name: 'one', only });
  },
  async 'snapshot-inside-partly-deleted'({ system, client, vm }) {
    const { images } = await startInside(system, vm, ['one']);
    return (await whileHeld(images.vdc, async () => {
      const deletion = await startDeletion({ client }, { vm, name: 'one' });
      await deletion.result().catch(() => undefined);
      return deletion;
    })) as WorkflowHandle;
  },
  async 'snapshot-partly-deleted'(stage) {
    const { scene, deletion } = await untilOneOfThree(stage);
    const below = layerOf(scene, 'one', 'vdc');
    await createImage(join(scene.pool, `${stage.vm}-clone`), { below });
    await deletion.executeUpdate('bandwidth', { args: [0] });
    return deletion;
  },
};
