/** A move to another format whose agent or daemon dies, or that is cancelled or terminated. */
import { execa } from 'execa';
import { rm } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { sample } from '../../support/sample.ts';
import { armFault, isArmed, type Fault } from '../../support/faults/faults.ts';
import {
  contents,
  copiers,
  defineOff,
  diskOf,
  expectNothingLeft,
  inVault,
  recordOf,
  removalOf,
  startMove,
  startMoveSystem,
  effectsOn,
  partBytes,
  undoOf,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

const system = useSystem(() => startMoveSystem({ name: 'reformed' }));

const MIB = 2 ** 20;
const vault = (vm: string) => inVault(system, `${vm}.raw`);
type Moving = Awaited<ReturnType<typeof startMove>>;

const effectsOf = (name: string, vm: string) => effectsOn(system, name, vm);

/** The move is over, and a guest reads the same in what the record names now. */
async function expectMoved(vm: string, move: Moving, before: string[]): Promise<void> {
  const result = await move.result();
  expect(result).toMatchObject({ outcome: 'moved', chainAfter: [vault(vm)], warnings: [] });
  await removalOf(system, result);
  expect(await recordOf(system, vm)).toBe(vault(vm));
  const xml = await system.host.virsh('dumpxml', vm, '--inactive');
  expect(xml).toMatch(/<driver [^>]*type='raw'/);
  expect(await contents([vault(vm)], ['raw'])).toEqual(before);
  expect(await copiers(system)).toEqual([]);
  await rm(vault(vm));
}

const faults: [Fault['effect'], Fault['action']][] = [
  ['image.create-target', 'kill-before'],
  ['image.create-target', 'kill-after'],
  ['image.create-target', 'twice'],
  ['image.create-target', 'fail-after'],
  ['image.start-copy', 'kill-after'],
  ['image.start-copy', 'twice'],
  ['image.complete-copy', 'kill-after'],
  ['image.complete-copy', 'twice'],
  ['libvirt.switch-disk-source', 'kill-after'],
];

describe('a move to another format', () => {
  const sampled = sample('faults of conversions', faults, 4);
  it.each(sampled)('ends right when %s is struck by %s', async (effect, action) => {
    const vm = `${effect}-${action}`.replaceAll('.', '-');
    const before = await contents([await defineOff(system, vm, { bytes: 2 * MIB })]);
    armFault(system.trace, { effect, action });
    const move = await startMove(system, { image: diskOf(vm), format: 'raw' });
    if (action.startsWith('kill')) {
      await system.roleEnded('host');
      await system.revive();
    }
    await expectMoved(vm, move, before);
    expect(isArmed(system.trace)).toBe(false);
  });
});

/** A conversion of 24 MiB that is under way, and does not end by itself within a test. */
async function slowMove(vm: string) {
  const file = await defineOff(system, vm, { bytes: 24 * MIB });
  const before = await contents([file]);
  const request = { image: diskOf(vm), format: 'raw', bandwidthBytesPerSecond: 2 * MIB } as const;
  const move = await startMove(system, request);
  await untilStatus(move, 'to copy', ({ phase }) => phase === 'copying');
  await waitUntil(`the conversion of ${vm}`, async () => (await converted(vm)) > MIB);
  const [daemon = 0] = await copiers(system);
  return { file, before, move, daemon, request };
}

const converted = (vm: string) => partBytes(system, `${vm}.raw`);

const hurry = (move: Moving) =>
  waitUntil('the limit to go', () =>
    move.executeUpdate('bandwidth', { args: [0] }).then(() => true),
  );

describe('a conversion under way', () => {
  it('goes on without its agent, and is found again', async () => {
    const { before, move } = await slowMove('killed');
    await expect(system.host.virsh('start', 'killed')).rejects.toThrow(/"write" lock/);
    await system.killRole('host');
    const atDeath = await converted('killed');
    await waitUntil('the daemon to go on', async () => (await converted('killed')) > atDeath);
    await system.startRole('host');
    await hurry(move);
    await expectMoved('killed', move, before);
    expect(await effectsOf('image.create-target', 'killed')).toHaveLength(1);
    expect(await effectsOf('image.start-copy', 'killed')).toHaveLength(1);
  });

  it('begins again with an empty target when the daemon is killed', async () => {
    const { before, move, daemon } = await slowMove('orphan');
    process.kill(daemon, 'SIGKILL');
    await waitUntil('another daemon', async () => {
      const [now] = await copiers(system);
      return now !== undefined && now !== daemon;
    });
    await hurry(move);
    await expectMoved('orphan', move, before);
    expect(await effectsOf('image.create-target', 'orphan')).toHaveLength(2);
    expect(await effectsOf('image.start-copy', 'orphan')).toHaveLength(2);
  });

  it('is found again by the same request after a terminate', async () => {
    const { before, move, request } = await slowMove('ended');
    await move.terminate();
    const again = await startMove(system, request);
    await untilStatus(again, 'to go on', ({ phase }) => phase === 'copying');
    await hurry(again);
    await expectMoved('ended', again, before);
    expect(await effectsOf('image.start-copy', 'ended')).toHaveLength(1);
  });

  it('is removed by a request for another format after a terminate', async () => {
    const { before, file, move } = await slowMove('other');
    await move.terminate();
    const kept = await (await startMove(system, { image: diskOf('other') })).result();
    await removalOf(system, kept);
    expect(kept.chainAfter).toEqual([inVault(system, file)]);
    expect(await contents(kept.chainAfter)).toEqual(before);
    expect(await poolFiles(inVault(system, ''))).toEqual(['other.qcow2']);
    expect(await copiers(system)).toEqual([]);
    await rm(inVault(system, file));
  });

  it('leaves exactly the source when it is cancelled', async () => {
    const { file, before, move } = await slowMove('cancelled');
    await move.cancel();
    await expect(move.result()).rejects.toThrow();
    expect((await move.describe()).status.name).toBe('CANCELLED');
    await undoOf(system, move);
    await expectNothingLeft(system, ['cancelled.qcow2']);
    expect(await contents([file])).toEqual(before);
    expect(await recordOf(system, 'cancelled')).toBe(file);
    await system.host.virsh('start', 'cancelled');
    await system.host.virsh('destroy', 'cancelled');
  });
});

describe('a conversion that went wrong', () => {
  const wrongs: [string, string[]][] = [
    ['in a byte', ['-c', 'write -P 1 40M 1']],
    ['in its size', ['-c', 'truncate 65M']],
  ];
  it.each(wrongs)('%s is found by --verify full, and the source stays', async (how, change) => {
    const vm = how.replaceAll(' ', '-');
    const file = await defineOff(system, vm, { bytes: MIB });
    armFault(system.trace, { effect: 'image.complete-copy', action: 'stop-after' });
    const move = await startMove(system, { image: diskOf(vm), format: 'raw' });
    await system.roleStopped('host');
    const folder = inVault(system, '.blockflow');
    const { stdout: copy } = await execa('find', [folder, '-name', `${vm}.raw.copied`]);
    await execa('qemu-io', ['-f', 'raw', ...change, copy]);
    system.signalRole('host', 'SIGCONT');
    const failed: unknown = await move.result().catch((error: unknown) => error);
    expect(failureDetails(failed)?.details).toMatchObject({ part: 'verify' });
    await undoOf(system, move);
    await expectNothingLeft(system, [`${vm}.qcow2`]);
    expect(await recordOf(system, vm)).toBe(file);
  });
});
