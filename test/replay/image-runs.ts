/** How each history of an operation on an image comes about. */
import type { RoleName } from '../../worker/roles/start.ts';
import {
  defineOff,
  diskOf,
  plainVolume,
  startCopy,
  startMove,
  startRemoval,
  undoHandle,
  VAULT,
} from '../support/scenes/transfer/image-operations.ts';
import { POOL } from '../support/scenes/merge-scene.ts';
import { deletionRun } from './deletion-runs.ts';
import { disksRun } from './disks-runs.ts';
import { liveMoveRun } from './live-move-runs.ts';
import { MIB, moving, unlimit, type Run, type Stage } from './image-stage.ts';
import type { ImageRecordingName } from './recorded.ts';
import { unhappyRun } from './unhappy-image-runs.ts';

const restart = (role: RoleName) => async (stage: Stage) => {
  const move = await moving(stage);
  await stage.system.killRole(role);
  await stage.system.startRole(role);
  await unlimit(move);
  return move;
};

export const imageRun: Record<ImageRecordingName, Run> = {
  ...unhappyRun,
  ...deletionRun,
  ...disksRun,
  ...liveMoveRun,
  async moved(stage) {
    await defineOff(stage.system, stage.vm, { bytes: MIB });
    return startMove(stage, { image: diskOf(stage.vm) });
  },
  async 'moved-converted'(stage) {
    await defineOff(stage.system, stage.vm, { bytes: MIB });
    return startMove(stage, { image: diskOf(stage.vm), format: 'raw' });
  },
  async 'moved-volume'(stage) {
    const image = await plainVolume(stage.system, stage.vm, 'qcow2');
    return startMove(stage, { image, verify: 'none', wipe: true });
  },
  async 'move-already-done'(stage) {
    await defineOff(stage.system, stage.vm);
    return startMove(stage, { image: diskOf(stage.vm), to: POOL });
  },
  async 'move-cancelled'(stage) {
    const move = await moving(stage);
    await move.cancel();
    return move;
  },
  async undone(stage) {
    const move = await moving(stage);
    await move.cancel();
    await move.result().catch(() => undefined);
    return undoHandle(stage, move);
  },
  async 'move-refused'(stage) {
    await defineOff(stage.system, stage.vm);
    await stage.system.host.virsh('start', stage.vm);
    const move = await startMove(stage, { image: diskOf(stage.vm), format: 'raw' });
    await move.result().catch(() => undefined);
    await stage.system.host.virsh('destroy', stage.vm);
    return move;
  },
  'move-restart-of-orchestrator': restart('orchestrator'),
  'move-restart-of-host-agent': restart('host'),
  'move-restart-of-spm-agent': restart('spm'),
  async copied(stage) {
    await defineOff(stage.system, stage.vm, { bytes: MIB });
    return startCopy(stage, { image: diskOf(stage.vm), to: VAULT });
  },
  async removed(stage) {
    await plainVolume(stage.system, stage.vm, 'qcow2');
    const volume = `${stage.vm}.qcow2`;
    return startRemoval(stage, { pool: POOL, volume, format: 'qcow2', wipe: true });
  },
  async 'removal-refused'(stage) {
    await defineOff(stage.system, stage.vm);
    return startRemoval(stage, { pool: POOL, volume: `${stage.vm}.qcow2`, format: 'qcow2' });
  },
};
