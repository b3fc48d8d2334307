/** How the histories of operations on images come about that fail, wait, or go on after a run. */
import { once } from 'node:events';
import { open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import { observeFile } from '../../activities/adapters/files/files.ts';
import { armFault, type Fault } from '../support/faults/faults.ts';
import { fill, unfill } from '../support/scenes/full-pool.ts';
import {
  defineOff,
  diskOf,
  startMove,
  undoHandle,
} from '../support/scenes/transfer/image-operations.ts';
import { redefine } from '../support/guest/shut-off-vm.ts';
import { waitUntil } from '../support/wait-until.ts';
import {
  copying,
  inPhase,
  MIB,
  moving,
  sourceOf,
  targetOf,
  unlimit,
  type Run,
  type Stage,
} from './image-stage.ts';

/** A move of 1 MiB that stands still after an effect of its host agent. */
async function standingAfter(stage: Stage, effect: Fault['effect']) {
  const { system, vm } = stage;
  await defineOff(system, vm, { bytes: MIB });
  armFault(system.trace, { effect, action: 'stop-after' });
  const move = await startMove(stage, { image: diskOf(vm) });
  await system.roleStopped('host');
  return move;
}

/** A file of its reservation, by the end of its name. */
async function reserved({ vault, vm }: Stage, stage: string): Promise<string> {
  const name = `${vm}.qcow2.${stage}`;
  return waitUntil(name, async () => {
    const { stdout } = await execa('find', [vault, '-name', name]);
    return stdout.trim() || false;
  });
}

/** The file system refuses every further write to the copy, also of those who have it open. */
const failing = (start: (stage: Stage) => Promise<WorkflowHandle>) => async (stage: Stage) => {
  const operation = await start(stage);
  const part = await reserved(stage, 'part');
  const bytes = async () => (await observeFile(part))?.allocatedBytes ?? 0;
  await waitUntil('some of the copy', async () => (await bytes()) > 0);
  await execa('chattr', ['+i', part]);
  await operation.result().catch(() => undefined);
  await execa('chattr', ['-i', part]);
  return operation;
};

/** The deletion of the source, which the move has started. */
async function removalAfterMove({ client, system, vm }: Stage): Promise<WorkflowHandle> {
  await defineOff(system, vm, { bytes: MIB });
  const move = await startMove({ client }, { image: diskOf(vm) });
  return client.workflow.getHandle((await move.result()).removal ?? '');
}

/** Abandoning fails for some seconds, and meanwhile the repeated request has adopted the copies. */
async function undoneForNothing(stage: Stage): Promise<WorkflowHandle> {
  const { system, vm } = stage;
  const move = await moving(stage);
  await system.killRole('spm');
  const effect = 'storage.abandon-reservation';
  const faults = Array.from({ length: 8 }, (_, i): Fault => {
    return { effect, action: 'fail-before', occurrence: i + 1 };
  });
  await system.startRole('spm', faults);
  await move.cancel();
  await move.result().catch(() => undefined);
  const undo = await undoHandle(stage, move);
  const limit = { bandwidthBytesPerSecond: MIB };
  const again = await startMove(stage, { image: diskOf(vm), ...limit });
  await undo.result();
  await unlimit(again);
  await again.result();
  return undo;
}

export const unhappyRun = {
  async 'move-cancel-refused'(stage) {
    const move = await standingAfter(stage, 'libvirt.switch-disk-source');
    await move.cancel();
    await waitUntil('the cancel to be there', async () => {
      const { events } = await move.fetchHistory();
      return events?.some((event) => event.workflowExecutionCancelRequestedEventAttributes);
    });
    stage.system.signalRole('host', 'SIGCONT');
    return move;
  },
  'move-copy-failed': failing(moving),
  'copy-failed': failing(copying),
  async 'move-verify-failed'(stage) {
    const move = await standingAfter(stage, 'image.complete-copy');
    const copy = await open(await reserved(stage, 'copied'), 'r+');
    await copy.write(Buffer.alloc(65536, 1), 0, 65536, 5 * 65536);
    await copy.close();
    stage.system.signalRole('host', 'SIGCONT');
    return move;
  },
  async 'move-name-taken'(stage) {
    const move = await moving(stage);
    await writeFile(targetOf(stage), 'not ours');
    await unlimit(move);
    await move.result().catch(() => undefined);
    await rm(targetOf(stage));
    return move;
  },
  async 'move-held'(stage) {
    const { system, vm } = stage;
    const other = join(system.host.root, 'other.qcow2');
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', other, '1M']);
    await defineOff(system, vm, { bytes: MIB });
    armFault(system.trace, { effect: 'libvirt.switch-disk-source', action: 'kill-after' });
    const move = await startMove(stage, { image: diskOf(vm) });
    await system.roleEnded('host');
    await redefine(system.host, vm, (xml) => xml.replace(targetOf(stage), other));
    await system.startRole('host');
    return move;
  },
  async 'move-waited-for-space'(stage) {
    await fill(stage.vault, 10 * MIB);
    await defineOff(stage.system, stage.vm, { bytes: 24 * MIB });
    const move = await startMove(stage, { image: diskOf(stage.vm) });
    await inPhase(move, 'waiting for space');
    await unfill(stage.vault);
    return move;
  },
  async 'move-waited-for-pool'(stage) {
    const move = await moving(stage);
    const { stdout: device } = await execa('findmnt', ['-n', '-o', 'SOURCE', stage.vault]);
    await reserved(stage, 'part');
    await execa('umount', ['--lazy', stage.vault]);
    await inPhase(move, 'waiting for the pool');
    await execa('mount', [device, stage.vault]);
    await inPhase(move, 'copying');
    await unlimit(move);
    return move;
  },
  async 'move-after-another-pool'(stage) {
    const move = await moving(stage);
    await move.terminate();
    await stage.system.host.definePool('attic');
    return startMove(stage, { image: diskOf(stage.vm), to: 'attic' });
  },
  'undone-for-nothing': undoneForNothing,
  async 'copy-cancelled'(stage) {
    const copy = await copying(stage);
    await copy.cancel();
    return copy;
  },
  'removed-after-move': removalAfterMove,
  async 'removed-after-waiting'(stage) {
    await defineOff(stage.system, stage.vm, { bytes: MIB });
    const args = ['-r', '-f', 'qcow2', sourceOf(stage)];
    const reader = execa('qemu-io', args, { stdin: 'pipe', reject: false });
    // It answers once it has opened the file, and so has its locks.
    reader.stdin.write('length\n');
    await once(reader.stdout, 'data');
    const move = await startMove(stage, { image: diskOf(stage.vm) });
    const removal = stage.client.workflow.getHandle((await move.result()).removal ?? '');
    await inPhase(removal, 'waiting for the disk');
    reader.kill();
    await reader;
    return removal;
  },
} as const satisfies Record<string, Run>;
