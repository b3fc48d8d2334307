/** The negative flows of MoveImage, by their names; each ends with one truth and nothing else. */
import { execa } from 'execa';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { sample } from '../../support/sample.ts';
import { armFault } from '../../support/faults/faults.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  copiers,
  defineOff,
  digests,
  diskOf,
  expectIntact,
  contents,
  effectsOn,
  expectOnlySource,
  partBytes,
  recordOf,
  removalOf,
  startMove,
  startMoveSystem,
  undoOf,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { defineShutOff, diskXml, redefine } from '../../support/guest/shut-off-vm.ts';
import { eventsOf, slowMove, unlimit } from '../../support/scenes/transfer/slow-move.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

const mount = use('the mount', () => mountOwn('ext4', 200));
const system = useSystem(() => startMoveSystem({ name: 'flows', vault: mount.path }));

const MIB = 2 ** 20;
type Moving = Awaited<ReturnType<typeof startMove>>;
/** Where a file is after its move. */
const moved = (file: string) => join(mount.path, basename(file));
const images = () => join(system.host.pools, POOL);
const copied = (file: string) => partBytes(system, basename(file));
/** The file of a copy under way. */
const partOf = async (file: string) => {
  const { stdout } = await execa('find', [mount.path, '-name', `${basename(file)}.part`]);
  return stdout.trim();
};

async function failure(move: Moving) {
  const error: unknown = await move.result().catch((failed: unknown) => failed);
  return failureDetails(error);
}

/** The source is what it was, the record names it, the VM starts; nothing else is there. */
async function expectUntouched(vm: string, file: string, before: object, move: Moving) {
  await undoOf(system, move);
  await expectOnlySource(system, { vm, file, before });
}

/** The copy is all there is, the record names it, and the VM starts from it. */
async function expectMoved(vm: string, file: string, before: object, move: Moving) {
  const result = await move.result();
  const target = moved(file);
  expect(result).toMatchObject({ outcome: 'moved', verified: true, chainAfter: [target] });
  expect(await removalOf(system, result)).toMatchObject({ outcome: 'removed', deleted: [file] });
  expect(await poolFiles(images())).not.toContain(basename(file));
  expect(await poolFiles(mount.path)).toEqual([basename(file)]);
  expect(await copiers(system)).toEqual([]);
  await expectIntact(system, { vm, file: target, before });
  await rm(target);
}

describe('Negative flow (copy fails)', () => {
  it('the target is deleted, the source untouched', async () => {
    const { file, before, move } = await slowMove(system, 'fails');
    const part = await partOf(file);
    // The file system refuses every further write, also of those who have it open.
    await execa('chattr', ['+i', part]);
    await unlimit(move);
    await waitUntil('the copy to be given up', async () => (await copiers(system)).length === 0);
    await execa('chattr', ['-i', part]);
    const failed = await failure(move);
    expect(failed).toMatchObject({ type: 'Retry', details: { part: 'copy' } });
    expect(failed?.details.now).toMatch(/Operation not permitted; the source is untouched/);
    await expectUntouched('fails', file, before, move);
  });
});

describe('Negative flow (switch fails)', () => {
  /** A move that stands still before its switch, while a user changes the record. */
  async function changedBefore(vm: string, change: (copy: string) => Promise<void>) {
    const file = await defineOff(system, vm, { bytes: MIB });
    const before = await contents([file]);
    armFault(system.trace, { effect: 'libvirt.switch-disk-source', action: 'kill-after' });
    const move = await startMove(system, { image: diskOf(vm) });
    await system.roleEnded('host');
    await change(moved(file));
    await system.startRole('host');
    const failed = await failure(move);
    expect(failed).toMatchObject({ type: 'Hold', details: { part: 'switch' } });
    expect(failed?.details.now).toMatch(/source and copies are both kept/);
    expect(await copiers(system)).toEqual([]);
    for (const kept of [file, moved(file)]) {
      expect(await contents([kept])).toEqual(before);
    }
    return { file, before };
  }

  it('both are kept when the record names neither, and the request repeated finishes', async () => {
    const other = join(system.host.root, 'other.qcow2');
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', other, '1M']);
    const { file } = await changedBefore('neither', (copy) =>
      redefine(system.host, 'neither', (xml) => xml.replace(copy, other)),
    );
    await redefine(system.host, 'neither', (xml) => xml.replace(other, file));
    const again = await startMove(system, { image: diskOf('neither') });
    await expectMoved('neither', file, await digests([file]), again);
  });

  it('what stands on a copy by then keeps it, also from the next request', async () => {
    const overlay = join(images(), 'above-1.qcow2');
    const { file, before } = await changedBefore('above', async (copy) => {
      const base = ['-F', 'qcow2', '-b', copy];
      await execa('qemu-img', ['create', '-q', '-f', 'qcow2', ...base, overlay]);
      await redefine(system.host, 'above', (xml) => xml.replace(copy, overlay));
    });
    await defineShutOff(system.host, 'user', diskXml(overlay));
    await redefine(system.host, 'above', (xml) => xml.replace(overlay, file));
    const again = await startMove(system, { image: diskOf('above'), format: 'raw' });
    await removalOf(system, await again.result());
    expect(await contents([overlay])).toEqual(before);
    expect(await poolFiles(mount.path)).toEqual(['above.qcow2', 'above.raw']);
    await Promise.all([overlay, moved('above.qcow2'), moved('above.raw')].map((path) => rm(path)));
  });
});

describe('Negative flow (source deletion fails)', () => {
  it('the move succeeds, an event tells it, and the removal goes on trying', async () => {
    const file = await defineOff(system, 'slowly', { bytes: MIB });
    const before = await digests([file]);
    const args = ['-r', '-f', 'qcow2', file];
    const reader = execa('qemu-io', args, { stdin: 'pipe', reject: false });
    // It answers once it has opened the file, and so has its locks.
    reader.stdin.write('length\n');
    await once(reader.stdout, 'data');
    const move = await startMove(system, { image: diskOf('slowly') });
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'moved' });
    expect(result.summary).toContain(`${result.removal} deletes the source`);
    expect(await recordOf(system, 'slowly')).toBe(moved(file));
    const told = await waitUntil('an event', async () =>
      (await eventsOf(system, result.removal ?? '')).find(({ kind }) => kind === 'failed'),
    );
    expect(told.reason).toMatch(/^delete source: .* open; .*tried again every minute/);
    expect(await poolFiles(images())).toContain('slowly.qcow2');
    reader.kill();
    await reader;
    await expectMoved('slowly', file, before, move);
  });
});

describe('Negative flow (host agent killed during the copy)', () => {
  const moments = sample('percents of a copy', [10, 50, 90], 3);
  it.each(moments)('at %i %%: the copy is found again, not started twice', async (percent) => {
    const vm = `killed${percent}`;
    // So that it comes to its last percents within a test.
    const { file, before, move, bytes } = await slowMove(system, vm, 2 * MIB);
    const reached = async (there: number) => (await copied(file)) >= (there / 100) * bytes;
    await waitUntil(`${percent} %`, () => reached(percent));
    await system.killRole('host');
    await waitUntil('it to go on without its agent', () => reached(percent + 5));
    await system.startRole('host');
    await unlimit(move);
    await expectMoved(vm, file, before, move);
    for (const effect of ['image.start-copy', 'image.hold']) {
      expect(await effectsOn(system, effect, `${vm}.qcow2`)).toHaveLength(1);
    }
  });

  it.each([
    ['only the copying daemon', 'orphan', false],
    ['the copying daemon too, as when its host dies', 'rebooted', true],
  ])('%s: the volume is copied again', async (_, vm, isAgentToo) => {
    const { file, before, move, daemon } = await slowMove(system, vm);
    if (isAgentToo) await system.killRole('host');
    process.kill(daemon, 'SIGKILL');
    await waitUntil('its end', async () => !(await copiers(system)).includes(daemon));
    if (isAgentToo) await system.startRole('host');
    await waitUntil('another daemon', async () => (await copiers(system)).length > 0);
    await unlimit(move);
    await expectMoved(vm, file, before, move);
    expect(await effectsOn(system, 'image.start-copy', `${vm}.qcow2`)).toHaveLength(2);
  });
});

describe('Negative flow (VM started during the copy)', () => {
  it('is refused by the image lock, and the copy goes on', async () => {
    const { file, before, move } = await slowMove(system, 'started');
    await expect(system.host.virsh('start', 'started')).rejects.toThrow(/"write" lock/);
    await unlimit(move);
    await expectMoved('started', file, before, move);
    expect(await effectsOn(system, 'image.start-copy', 'started.qcow2')).toHaveLength(1);
  });
});

describe('Negative flow (target pool unmounted during the copy)', () => {
  it('is told with the reason; it goes on when the pool is there again', async () => {
    const { file, before, move } = await slowMove(system, 'unmounted');
    const { stdout: device } = await execa('findmnt', ['-n', '-o', 'SOURCE', mount.path]);
    await execa('umount', ['--lazy', mount.path]);
    const waits = ({ phase }: { phase: string }) => phase === 'waiting for the pool';
    const { note } = await untilStatus(move, 'to wait for the pool', waits);
    expect(note).toContain(`pool ${VAULT} is unavailable: ${mount.path} does not hold`);
    await execa('mount', [device, mount.path]);
    await untilStatus(move, 'to go on', ({ phase, note: now }) => phase === 'copying' && !now);
    await unlimit(move);
    await expectMoved('unmounted', file, before, move);
    expect(await effectsOn(system, 'image.start-copy', 'unmounted.qcow2')).toHaveLength(1);
  });
});

describe('Negative flow (target name taken during the copy)', () => {
  it('is refused, the file that has the name stays', async () => {
    const { file, before, move } = await slowMove(system, 'taken');
    const target = moved(file);
    await writeFile(target, 'not ours');
    await unlimit(move);
    const failed = await failure(move);
    expect(failed).toMatchObject({ type: 'Refused', details: { code: 'name-taken' } });
    await undoOf(system, move);
    expect(await poolFiles(mount.path)).toEqual([basename(file)]);
    await rm(target);
    await expectUntouched('taken', file, before, move);
  });
});
