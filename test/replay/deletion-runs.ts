/** How each history of a deletion of a snapshot comes about. */
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { statusQuery } from '../../workflows/kinds.ts';
import { createImage } from '../support/guest/shut-off-vm.ts';
import { layerOf, startThreeDisks, type ThreeDisks } from '../support/guest/three-disks.ts';
import { startDeletion } from '../support/scenes/snapshot-scene.ts';
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
  async 'snapshot-partly-deleted'(stage) {
    const { scene, deletion } = await untilOneOfThree(stage);
    const below = layerOf(scene, 'one', 'vdc');
    await createImage(join(scene.pool, `${stage.vm}-clone`), { below });
    await deletion.executeUpdate('bandwidth', { args: [0] });
    return deletion;
  },
};
