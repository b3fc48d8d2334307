/** A terminated move, whose request is repeated with other options. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { OWN_FOLDER } from '../../activities/adapters/pools.ts';
import { armFault } from '../support/faults.ts';
import { contents, defineOff, diskOf, effectsOn, recordOf } from '../support/move-scene.ts';
import { inVault, removalOf, startMove, startMoveSystem } from '../support/move-scene.ts';
import type { System } from '../support/system.ts';

const MIB = 2 ** 20;
let system: System;
beforeAll(async () => {
  system = await startMoveSystem({ name: 'repeated' });
});
afterEach(() => system.revive());
afterAll(() => system.close());

/** The reserved file of a copy that is ready to get its name. */
async function readyCopy(vm: string): Promise<string> {
  const args = [join(inVault(system, ''), OWN_FOLDER), '-name', `${vm}.qcow2.ready`];
  return (await execa('find', args)).stdout.trim();
}

describe('A move that was terminated', () => {
  it('without verification: its copies are made anew for who asks for that', async () => {
    const file = await defineOff(system, 'loose', { bytes: MIB });
    const before = await contents([file]);
    armFault(system.trace, { effect: 'storage.name-volume', action: 'stop-before' });
    const move = await startMove(system, { image: diskOf('loose'), verify: 'none' });
    await system.roleStopped('spm');
    const copy = await open(await readyCopy('loose'), 'r+');
    await copy.write(Buffer.alloc(65536, 1), 0, 65536, 5 * 65536);
    await copy.close();
    await move.terminate();
    await system.killRole('spm');
    await system.startRole('spm');
    const result = await (await startMove(system, { image: diskOf('loose') })).result();
    expect(result).toMatchObject({ outcome: 'moved', verified: true });
    await removalOf(system, result);
    expect(await contents([inVault(system, file)])).toEqual(before);
    expect(await effectsOn(system, 'image.start-copy', 'loose')).toHaveLength(2);
  });

  it('with verification: its copies are verified, also for who does not ask for it', async () => {
    const file = await defineOff(system, 'strict', { bytes: MIB });
    const before = await contents([file]);
    armFault(system.trace, { effect: 'image.pass-verification', action: 'kill-before' });
    const move = await startMove(system, { image: diskOf('strict') });
    await system.roleEnded('host');
    await move.terminate();
    await system.startRole('host');
    const again = await startMove(system, { image: diskOf('strict'), verify: 'none' });
    const result = await again.result();
    expect(result).toMatchObject({ outcome: 'moved', verified: true });
    await removalOf(system, result);
    expect(await contents([inVault(system, file)])).toEqual(before);
    expect(await recordOf(system, 'strict')).toBe(inVault(system, file));
    expect(await effectsOn(system, 'image.start-copy', 'strict')).toHaveLength(1);
  });
});
