import { basename } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { copiers, defineOff, digests, diskOf, expectNothingLeft } from '../support/move-scene.ts';
import { inVault, recordOf, removalOf, startMove, startMoveSystem } from '../support/move-scene.ts';
import { effectsOn, partBytes, untilMove } from '../support/move-scene.ts';
import type { System } from '../support/system.ts';
import { waitUntil } from '../support/wait-until.ts';

let system: System;
beforeAll(async () => {
  system = await startMoveSystem({ name: 'moves' });
});
afterAll(() => system.close());

const MIB = 2 ** 20;
/** Slow enough that the copy does not end by itself within a test. */
const SLOW = 2 * MIB;

/** A move of 24 MiB that is under way. */
async function slowMove(vm: string) {
  const file = await defineOff(system, vm, { bytes: 24 * MIB });
  const before = await digests([file]);
  const move = await startMove(system, { image: diskOf(vm), bandwidthBytesPerSecond: SLOW });
  await untilMove(move, 'to copy', ({ phase }) => phase === 'copying');
  const [daemon] = await waitUntil('the daemon', async () => {
    const found = await copiers(system);
    return found.length > 0 && found;
  });
  await waitUntil(`the copy of ${vm}`, async () => (await copied(file)) > 0);
  return { file, before, move, daemon };
}

const copied = (file: string) => partBytes(system, basename(file));
const effectsOf = (name: string, part: string) => effectsOn(system, name, part);

describe('a move that is interrupted', () => {
  it('finds the copy again when the agent is killed half way, started once', async () => {
    const { file, before, move, daemon } = await slowMove('killed');
    await system.killRole('host');
    const atDeath = await copied(file);
    await waitUntil(
      'the copy to go on without its agent',
      async () => (await copied(file)) > atDeath,
    );
    await system.startRole('host');
    await waitUntil('the update', () =>
      move.executeUpdate('bandwidth', { args: [0] }).then(() => true),
    );
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'moved' });
    await removalOf(system, result);
    expect(await digests([inVault(system, file)])).toEqual(before);
    expect(await effectsOf('image.start-copy', 'killed.qcow2')).toHaveLength(1);
    expect(await effectsOf('image.hold', 'killed.qcow2')).toHaveLength(1);
    expect(daemon).toBeGreaterThan(0);
    await execa('rm', [inVault(system, file)]);
  });

  it('copies anew when the copying daemon is killed', async () => {
    const { file, before, move, daemon } = await slowMove('orphan');
    process.kill(daemon as number, 'SIGKILL');
    await waitUntil('another daemon', async () => {
      const [now] = await copiers(system);
      return now !== undefined && now !== daemon;
    });
    await waitUntil('the limit to go', () =>
      move.executeUpdate('bandwidth', { args: [0] }).then(() => true),
    );
    const result = await move.result();
    await removalOf(system, result);
    expect(await digests([inVault(system, file)])).toEqual(before);
    expect(await effectsOf('image.start-copy', 'orphan.qcow2')).toHaveLength(2);
    await execa('rm', [inVault(system, file)]);
  });

  it('does not let the VM start during the copy, by the image locks', async () => {
    const { file, move } = await slowMove('started');
    await expect(system.host.virsh('start', 'started')).rejects.toThrow(/"write" lock/);
    await move.executeUpdate('bandwidth', { args: [0] });
    await removalOf(system, await move.result());
    await system.host.virsh('start', 'started');
    expect(await recordOf(system, 'started')).toBe(inVault(system, file));
    await system.host.virsh('destroy', 'started');
    await execa('rm', [inVault(system, file)]);
  });

  it('leaves exactly the source when it is cancelled during the copy', async () => {
    const { file, before, move } = await slowMove('cancelled');
    await move.cancel();
    await expect(move.result()).rejects.toThrow();
    expect((await move.describe()).status.name).toBe('CANCELLED');
    await expectNothingLeft(system, ['cancelled.qcow2']);
    expect(await digests([file])).toEqual(before);
    expect(await recordOf(system, 'cancelled')).toBe(file);
    await system.host.virsh('start', 'cancelled');
    await system.host.virsh('destroy', 'cancelled');
  });
});
