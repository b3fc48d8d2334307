/** How the histories of moves of running VMs come about. */
import type { MoveImageRequest } from '../../workflows/transfer/request.ts';
import { startDeltaScene } from '../support/scenes/transfer/delta-scene.ts';
import { diskOf, startMove } from '../support/scenes/transfer/image-operations.ts';
import { startScene } from '../support/scenes/merge-scene.ts';
import { waitUntil } from '../support/wait-until.ts';
import { inPhase, MIB, unlimit, type Run, type Stage } from './image-stage.ts';
import type { LiveMoveRecordingName } from './recorded.ts';

const SMALL = { slots: 16 };
const SLOW = 65_536;

const virsh = ({ system, vm }: Stage, ...args: string[]) => system.host.virsh(...args, vm);

const plain: Run = async (stage) => {
  const { system, vm } = stage;
  await startScene({ system, vm, layers: 1, snapshotNames: ['s1'], guest: SMALL });
  return startMove(stage, { image: diskOf(vm) });
};

async function decided(stage: Stage, choice: 'pivot' | 'keep') {
  const { system, vm } = stage;
  await startScene({ system, vm, layers: 1, guest: SMALL });
  const move = await startMove(stage, { image: diskOf(vm), waitForDecision: true });
  await inPhase(move, 'waiting for a decision');
  await move.executeUpdate('decide', { args: [choice] });
  return move;
}

/** Mirrors, and will for a while. */
async function mirroring(stage: Stage, more: Partial<MoveImageRequest> = {}) {
  const { system, vm } = stage;
  await startDeltaScene(system, { vm, bytes: 32 * MIB });
  const limit = { bandwidthBytesPerSecond: SLOW, ...more };
  const move = await startMove(stage, { image: diskOf(vm), ...limit });
  await inPhase(move, 'mirroring');
  await untilMirrored(stage);
  return move;
}

const untilMirrored = ({ system, vm }: Stage) =>
  waitUntil('the mirror', async () =>
    (await system.host.virsh('blockjob', vm, 'vda', '--raw')).includes('type='),
  );

/** A user ends the mirror so many times. */
async function endMirrors(stage: Stage, times: number): Promise<void> {
  const { system, vm } = stage;
  for (let lost = 0; lost < times; lost++) {
    await untilMirrored(stage);
    await system.host.virsh('blockjob', vm, 'vda', '--abort');
  }
}

export const liveMoveRun: Record<LiveMoveRecordingName, Run> = {
  'moved-live': plain,
  async 'move-live-paused'(stage) {
    const { system, vm } = stage;
    await startScene({ system, vm, layers: 0, format: 'raw', guest: SMALL });
    await virsh(stage, 'suspend');
    return startMove(stage, { image: diskOf(vm), verify: 'none' });
  },
  async 'move-live-limited'(stage) {
    const move = await mirroring(stage);
    await unlimit(move);
    return move;
  },
  async 'move-live-cancelled'(stage) {
    const move = await mirroring(stage);
    await move.cancel();
    return move;
  },
  async 'move-live-vm-stopped'(stage) {
    const move = await mirroring(stage);
    await virsh(stage, 'destroy');
    return move;
  },
  async 'move-live-continued-cold'(stage) {
    const move = await mirroring(stage, { onVmStop: 'continue' });
    await virsh(stage, 'destroy');
    await inPhase(move, 'copying');
    await unlimit(move);
    return move;
  },
  async 'move-live-mirrored-again'(stage) {
    const move = await mirroring(stage);
    await endMirrors(stage, 1);
    await unlimit(move);
    return move;
  },
  async 'move-live-job-lost'(stage) {
    const move = await mirroring(stage);
    await endMirrors(stage, 4);
    return move;
  },
  'move-live-decided': (stage) => decided(stage, 'pivot'),
  'move-live-kept': (stage) => decided(stage, 'keep'),
  async 'move-live-converged'(stage) {
    const { system, vm } = stage;
    await startDeltaScene(system, { vm, bytes: 18 * MIB });
    const limit = { bandwidthBytesPerSecond: SLOW, converge: true, maxPauseMs: 60_000 };
    const move = await startMove(stage, { image: diskOf(vm), ...limit });
    await inPhase(move, 'mirroring');
    await untilMirrored(stage);
    await move.executeUpdate('bandwidth', { args: [MIB / 2] });
    return move;
  },
  async 'move-live-adopted'(stage) {
    await (await mirroring(stage)).terminate();
    return startMove(stage, { image: diskOf(stage.vm) });
  },
};
