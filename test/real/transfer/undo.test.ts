/** The copies of a move that was undone: a workflow of their own deletes them, whatever happens. */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { statusQuery } from '../../../workflows/kinds.ts';
import { cancelledAt } from '../../support/scenes/transfer/cancelled-move.ts';
import { armFault, isArmed } from '../../support/faults/faults.ts';
import {
  contents,
  digests,
  diskOf,
  expectOnlySource,
  recordOf,
  removalOf,
  startMove,
  startMoveSystem,
  undoHandle,
  undoOf,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { eventsOf, slowMove } from '../../support/scenes/transfer/slow-move.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

const mount = use('the mount', () => mountOwn('ext4', 200));
const system = useSystem(() => startMoveSystem({ name: 'undo', vault: mount.path }));

interface Undone {
  vm: string;
  file: string;
  before: object;
  move: WorkflowHandle;
}

const statusOf = (undo: WorkflowHandle) => undo.query(statusQuery);

/** The request repeated moves the image, and leaves nothing of both but the copy. */
async function expectRepeated({ vm, file }: Undone, before: readonly string[]): Promise<void> {
  const again = await startMove(system, { image: diskOf(vm) });
  const result = await again.result();
  const target = join(mount.path, basename(file));
  expect(result).toMatchObject({ outcome: 'moved', chainAfter: [target] });
  await removalOf(system, result);
  expect(await contents([target])).toEqual(before);
  expect(await recordOf(system, vm)).toBe(target);
}

describe('A move that is cancelled while its target pool is not mounted', () => {
  it('ends at once and says who deletes the copies, which then waits for the pool', async () => {
    const undone = { vm: 'away', ...(await slowMove(system, 'away')) };
    const { move, file } = undone;
    const { stdout: device } = await execa('findmnt', ['-n', '-o', 'SOURCE', mount.path]);
    await execa('umount', ['--lazy', mount.path]);
    await move.cancel();
    await expect(move.result()).rejects.toThrow();
    const undo = await undoHandle(system, move);
    const reason = `the source is untouched, ${undo.workflowId} deletes its copies`;
    expect((await eventsOf(system, 'away/vda')).at(-1)?.reason).toBe(`cancelled: ${reason}`);
    expect(await digests([file])).toEqual(undone.before);
    // The source is free already, however long its copies stay: the VM runs, and writes.
    await system.host.virsh('start', 'away');
    await system.host.virsh('destroy', 'away');
    const before = await digests([file]);
    await waitUntil('the undo to wait', async () => {
      const { phase, note } = await statusOf(undo);
      return phase === 'waiting for the pool' && note?.includes(`pool ${VAULT} is unavailable`);
    });
    await execa('mount', [device, mount.path]);
    expect(await poolFiles(mount.path)).toHaveLength(1);
    const { regainedBytes, ...result } = await undoOf(system, move);
    expect(result).toMatchObject({ outcome: 'removed', deleted: [] });
    expect(regainedBytes).toBeGreaterThan(0);
    await expectOnlySource(system, { ...undone, before });
  });
});

describe('The deletion of unwanted copies', () => {
  it.each([
    ['abandoning', 'storage.abandon-reservation', 'kill-before'],
    ['abandoned', 'storage.abandon-reservation', 'kill-after'],
    ['unnaming', 'storage.unlink-copy', 'kill-before'],
    ['unnamed', 'storage.unlink-copy', 'kill-after'],
    ['removing', 'storage.remove-reservation', 'kill-before'],
    ['gone', 'storage.remove-reservation', 'kill-after'],
  ] as const)('goes on when its agent dies while %s (%s, %s)', async (vm, effect, action) => {
    const undone = await cancelledAt(system, vm, {
      effect: 'storage.name-volume',
      action: 'stop-after',
      meanwhile: () => armFault(system.trace, { effect, action }),
    });
    await expect(undone.move.result()).rejects.toThrow();
    await system.roleEnded('spm');
    expect(isArmed(system.trace)).toBe(false);
    await system.startRole('spm');
    expect(await undoOf(system, undone.move)).toMatchObject({ outcome: 'removed' });
    await expectOnlySource(system, undone);
  });

  it('deletes nothing that is in use by then, and says so until it is cancelled', async () => {
    const copy = join(mount.path, 'used.qcow2');
    const undone = await cancelledAt(system, 'used', {
      effect: 'storage.name-volume',
      action: 'stop-after',
      meanwhile: () => defineShutOff(system.host, 'user', diskXml(copy)),
    });
    await expect(undone.move.result()).rejects.toThrow();
    const before = await contents([undone.file]);
    const undo = await undoHandle(system, undone.move);
    const told = await waitUntil('an event', async () =>
      (await eventsOf(system, undo.workflowId)).find(({ kind }) => kind === 'failed'),
    );
    expect(told.reason).toMatch(/^delete target: .* is used by VM user; .* every minute$/);
    expect(await contents([copy])).toEqual(before);
    await undo.cancel();
    await expect(undo.result()).rejects.toThrow();
    // Neither is it moved onto what another VM now has.
    const taken = await startMove(system, { image: diskOf('used') });
    const error: unknown = await taken.result().catch((failed: unknown) => failed);
    expect(failureDetails(error)?.details.code).toBe('name-taken');
    await system.host.virsh('undefine', 'user');
    await expectRepeated(undone, before);
    expect(await poolFiles(mount.path)).toEqual(['used.qcow2']);
    await rm(copy);
  });

  it('and a repeated request that was about to adopt them do not meet', async () => {
    const undone = await cancelledAt(system, 'again', {
      effect: 'storage.name-volume',
      action: 'stop-after',
      meanwhile: () => {
        const effect = 'storage.abandon-reservation';
        armFault(system.trace, { effect, action: 'stop-before' });
      },
    });
    const before = await contents([undone.file]);
    await expect(undone.move.result()).rejects.toThrow();
    const undo = await undoHandle(system, undone.move);
    await system.roleStopped('spm');
    const again = await startMove(system, { image: diskOf('again') });
    await waitUntil('it to reserve', async () => {
      const { phase, note } = await again.query(statusQuery);
      return phase === 'reserving' && note?.includes('adopted');
    });
    system.signalRole('spm', 'SIGCONT');
    await removalOf(system, await again.result());
    expect(await undo.result()).toMatchObject({ outcome: 'removed' });
    const copy = join(mount.path, 'again.qcow2');
    expect(await poolFiles(mount.path)).toEqual(['again.qcow2']);
    expect(await contents([copy])).toEqual(before);
    expect(await recordOf(system, 'again')).toBe(copy);
  });
});
