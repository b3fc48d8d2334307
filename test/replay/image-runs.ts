/** How each history of an operation on an image comes about. */
import type { Client, WorkflowHandle } from '@temporalio/client';
import type { RoleName } from '../../worker/roles.ts';
import { imageStatusQuery } from '../../workflows/move-contract.ts';
import { defineOff, diskOf, plainVolume, startCopy } from '../support/image-operations.ts';
import { startMove, startRemoval, undoHandle, VAULT } from '../support/image-operations.ts';
import { POOL } from '../support/merge-scene.ts';
import type { System } from '../support/system.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { ImageRecordingName } from './recorded.ts';

interface Stage {
  system: System;
  client: Client;
  vm: string;
}

const MIB = 2 ** 20;

/** A move that copies, and will for a while. */
async function copying(stage: Stage): Promise<WorkflowHandle> {
  await defineOff(stage.system, stage.vm, { bytes: 32 * MIB });
  const move = await startMove(stage, { image: diskOf(stage.vm), bandwidthBytesPerSecond: MIB });
  await waitUntil('the copy', async () => (await move.query(imageStatusQuery)).phase === 'copying');
  return move;
}

const restart = (role: RoleName) => async (stage: Stage) => {
  const move = await copying(stage);
  await stage.system.killRole(role);
  await stage.system.startRole(role);
  // Until the copy is there, and its agent with it, there is nothing whose limit could be set.
  await waitUntil('the limit to go', () =>
    move.executeUpdate('bandwidth', { args: [0] }).then(() => true),
  );
  return move;
};

export const imageRun: Record<ImageRecordingName, (stage: Stage) => Promise<WorkflowHandle>> = {
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
    const move = await copying(stage);
    await move.cancel();
    return move;
  },
  async undone(stage) {
    const move = await copying(stage);
    await move.cancel();
    await move.result().catch(() => undefined);
    return undoHandle(stage, move);
  },
  async 'move-refused'(stage) {
    await defineOff(stage.system, stage.vm);
    await stage.system.host.virsh('start', stage.vm);
    const move = await startMove(stage, { image: diskOf(stage.vm) });
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
