/** How each history of an operation on a whole VM comes about. */
import type { WorkflowHandle } from '@temporalio/client';
import type { EffectName } from '../../activities/door/effect.ts';
import { armFault } from '../support/faults/faults.ts';
import type { System } from '../support/host/system.ts';
import { revertTo, startRevert } from '../support/scenes/revert-scene.ts';
import {
  defineSeveralDisks,
  startSnapshot,
  takeSnapshot,
} from '../support/scenes/snapshot-scene.ts';
import type { SnapshotRecordingName } from './recorded.ts';

type Run = (system: System, vm: string) => Promise<WorkflowHandle>;

/** A VM with two disks. */
async function define(system: System, vm: string, runs = true) {
  const { guest } = await defineSeveralDisks(system, vm, 2);
  if (!runs) return;
  await guest.start(60_000);
  await guest.waitForAcks(20);
}

/** The operation is over before the VM goes. */
async function ended(system: System, vm: string, handle: WorkflowHandle) {
  await handle.result().catch(() => undefined);
  await system.host.virsh('destroy', vm).catch(() => undefined);
  return handle;
}

const name = 's1';

/** One inside of images, whose agent stands still before the effect. */
async function heldAt(system: System, vm: string, effect: EffectName) {
  armFault(system.trace, { effect, action: 'stop-before' });
  const creation = await startSnapshot(system, { vm, name, internal: true });
  await system.roleStopped('host');
  return creation;
}

export const snapshotRun: Record<SnapshotRecordingName, Run> = {
  async 'snapshot-created'(system, vm) {
    await define(system, vm);
    return ended(system, vm, await startSnapshot(system, { vm, name }));
  },
  async 'snapshot-created-cold'(system, vm) {
    await define(system, vm, false);
    return startSnapshot(system, { vm, name });
  },
  async 'snapshot-created-after-terminate'(system, vm) {
    await define(system, vm, false);
    armFault(system.trace, { effect: 'libvirt.list-snapshot', action: 'stop-before' });
    const first = await startSnapshot(system, { vm, name });
    await system.roleStopped('host');
    await first.terminate();
    system.signalRole('host', 'SIGCONT');
    return startSnapshot(system, { vm, name: 's2' });
  },
  async 'snapshot-created-already'(system, vm) {
    await define(system, vm, false);
    await takeSnapshot(system, { vm, name });
    return startSnapshot(system, { vm, name });
  },
  async 'snapshot-created-inside'(system, vm) {
    await define(system, vm, false);
    return startSnapshot(system, { vm, name, internal: true });
  },
  async 'snapshot-created-inside-after-terminate'(system, vm) {
    await define(system, vm, false);
    const first = await heldAt(system, vm, 'libvirt.list-snapshot');
    await first.terminate();
    system.signalRole('host', 'SIGCONT');
    return startSnapshot(system, { vm, name, internal: true });
  },
  async 'snapshot-inside-vm-started'(system, vm) {
    const { guest } = await defineSeveralDisks(system, vm, 2);
    armFault(system.trace, { effect: 'image.take-snapshots', action: 'kill-before' });
    const creation = await startSnapshot(system, { vm, name, internal: true });
    await system.roleEnded('host');
    await guest.start(60_000);
    await system.startRole('host');
    return ended(system, vm, creation);
  },
  async 'snapshot-refused'(system, vm) {
    await define(system, vm, false);
    return startSnapshot(system, { vm, name, disks: ['vdz'] });
  },
  async 'snapshot-reverted'(system, vm) {
    await define(system, vm, false);
    await takeSnapshot(system, { vm, name });
    return startRevert(system, { vm, name });
  },
  async 'snapshot-revert-undone'(system, vm) {
    await define(system, vm, false);
    await takeSnapshot(system, { vm, name });
    await revertTo(system, { vm, name });
    return startRevert(system, { vm, undo: true });
  },
  async 'snapshot-revert-undone-already'(system, vm) {
    await define(system, vm, false);
    await takeSnapshot(system, { vm, name });
    await revertTo(system, { vm, name });
    await revertTo(system, { vm, undo: true });
    return startRevert(system, { vm, undo: true });
  },
};
