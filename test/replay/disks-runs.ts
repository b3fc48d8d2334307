/** How the histories of moves of several disks come about. */
import type { WorkflowHandle } from '@temporalio/client';
import {
  startDisks,
  startDisksMove,
  untilDisks,
  type DisksHandle,
  type DisksScene,
} from '../support/scenes/transfer/disks-scene.ts';
import type { MoveDisksRequest } from '../../workflows/transfer/disks/request.ts';
import type { Run, Stage } from './image-stage.ts';
import type { DisksRecordingName } from './recorded.ts';

const SLOW = 65_536;

type More = Partial<MoveDisksRequest>;
type Handle = Promise<WorkflowHandle>;

const running = ({ system, vm }: Stage) => startDisks(system, vm);
const start = async ({ client }: Stage, scene: DisksScene, more: More = {}): Handle =>
  startDisksMove(scene, more, client);

const run =
  (more: More = {}, given: { running?: boolean } = {}): Run =>
  async (stage) =>
    start(stage, await startDisks(stage.system, stage.vm, given), more);

/** Mirrors, and will for a while. */
async function mirroring(stage: Stage): Promise<{ scene: DisksScene; move: DisksHandle }> {
  const scene = await running(stage);
  const move = await startDisksMove(scene, { bandwidthBytesPerSecond: SLOW }, stage.client);
  await untilDisks(
    move,
    'all mirrors',
    ({ disks }) => disks.length > 0 && disks.every(({ state }) => state === 'copying'),
  );
  return { scene, move };
}

/** The move of one disk, of several that have ended. */
const oneOf =
  (more: More): Run =>
  async (stage) => {
    const all = await start(stage, await running(stage), more);
    await all.result();
    return stage.client.workflow.getHandle(`${stage.vm}/vdb`);
  };

export const disksRun: Record<DisksRecordingName, Run> = {
  'disks-moved': run(),
  'disks-moved-one-after-the-other': run({ maxPauseMs: 1 }),
  'disks-moved-down': run({}, { running: false }),
  async 'disks-adopted'(stage) {
    const { scene, move } = await mirroring(stage);
    await move.terminate();
    const again = await startDisksMove(scene, {}, stage.client);
    await untilDisks(
      again,
      'the moves to be adopted',
      ({ disks }) => disks.length > 0 && disks.every(({ state }) => state === 'copying'),
    );
    await again.executeUpdate('bandwidth', { args: [0] });
    return again;
  },
  async 'disks-already-done'(stage) {
    const scene = await running(stage);
    await (await start(stage, scene)).result();
    return start(stage, scene);
  },
  'disks-copied': run({ sources: 'keep' }),
  async 'disks-kept'(stage) {
    const scene = await running(stage);
    const move = await startDisksMove(scene, { waitForDecision: true }, stage.client);
    await untilDisks(move, 'READY', ({ phase }) => phase === 'waiting for a decision');
    await move.executeUpdate('decide', { args: ['keep'] });
    return move;
  },
  'disks-copied-down': run({ sources: 'keep' }, { running: false }),
  async 'disks-cancelled'(stage) {
    const { move } = await mirroring(stage);
    await move.cancel();
    return move;
  },
  'disks-refused': run({ disks: ['vda', 'vdz'] }),
  async 'disks-ended'(stage) {
    const { move } = await mirroring(stage);
    await stage.client.workflow.getHandle(`${stage.vm}/vdb`).cancel();
    return move;
  },
  'disks-one-moved': oneOf({}),
  'disks-one-kept': oneOf({ sources: 'keep' }),
};
