/** A terminated move, whose request is repeated with other options. */
import { open, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { OWN_FOLDER } from '../../../activities/pool-folder/own-folder.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { armFault } from '../../support/faults/faults.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  copiers,
  defineOff,
  diskOf,
  effectsOn,
  expectIntact,
  inVault,
  recordOf,
  removalOf,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { takeExternalSnapshot } from '../../support/guest/disks/snapshots.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { startSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { slowMove } from '../../support/scenes/transfer/slow-move.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const MIB = 2 ** 20;
const ATTIC = 'attic';
const system = useSystem(() => startMoveSystem({ name: 'repeated' }));
beforeAll(() => system.host.definePool(ATTIC));

/** The reserved file of a copy that is ready to get its name. */
async function readyCopy(vm: string): Promise<string> {
  const args = [join(inVault(system, ''), OWN_FOLDER), '-name', `${vm}.qcow2.ready`];
  return (await execa('find', args)).stdout.trim();
}

describe('A move that was terminated', () => {
  it('without verification: its copies are made again for a request that verifies', async () => {
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

describe('A move that was terminated, and is repeated to another pool', () => {
  const filesOf = (pool: string) => poolFiles(join(system.host.pools, pool));

  /** It is the only truth; neither the source nor what the earlier run made is left. */
  async function expectMovedOn(vm: string, before: readonly string[]): Promise<void> {
    const result = await (await startMove(system, { image: diskOf(vm), to: ATTIC })).result();
    const target = join(system.host.pools, ATTIC, `${vm}.qcow2`);
    expect(result).toMatchObject({ outcome: 'moved', chainAfter: [target], warnings: [] });
    await removalOf(system, result);
    const isOfIt = (name: string) => name.includes(vm) || name.startsWith(OWN_FOLDER);
    const left = async () => (await filesOf(VAULT)).filter(isOfIt);
    await waitUntil('the earlier copies to go', async () => (await left()).length === 0);
    expect((await filesOf(POOL)).filter((name) => name.includes(vm))).toEqual([]);
    expect(await filesOf(ATTIC)).toEqual(expect.arrayContaining([`${vm}.qcow2`]));
    expect(await copiers(system)).toEqual([]);
    expect(await contents([target])).toEqual(before);
    expect(await recordOf(system, vm)).toBe(target);
  }

  it('while it copied: neither its daemon nor its copies stay', async () => {
    const { file, move } = await slowMove(system, 'astray');
    const before = await contents([file]);
    await move.terminate();
    await expectMovedOn('astray', before);
  });

  it('once its record was switched: its copies are the source, its reservation goes', async () => {
    const file = await defineOff(system, 'onward', { bytes: MIB });
    const before = await contents([file]);
    armFault(system.trace, { effect: 'storage.remove-reservation', action: 'kill-before' });
    const move = await startMove(system, { image: diskOf('onward') });
    await system.roleEnded('spm');
    await move.terminate();
    await system.startRole('spm');
    await expectMovedOn('onward', before);
  });

  it('in vain: a refused request releases the source all the same', async () => {
    const { file, before, move } = await slowMove(system, 'freed');
    await move.terminate();
    const again = await startMove(system, { image: diskOf('freed'), to: 'nowhere' });
    const error: unknown = await again.result().catch((refused: unknown) => refused);
    expect(failureDetails(error)?.details.code).toBe('unknown-pool');
    expect(await copiers(system)).toEqual([]);
    await expectIntact(system, { vm: 'freed', file, before });
  });
});

describe('A move that was terminated once its record was switched, its source not deleted,', () => {
  async function ended(vm: string): Promise<string> {
    const file = await defineOff(system, vm, { bytes: MIB });
    armFault(system.trace, { effect: 'image.release', action: 'kill-before' });
    const move = await startMove(system, { image: diskOf(vm) });
    await system.roleEnded('host');
    await move.terminate();
    await system.startRole('host');
    return file;
  }

  it('lets no other operation change the chain, and is completed by its own request', async () => {
    const vm = 'halted';
    const file = await ended(vm);
    const others = [
      await system.merge({ vm, disk: 'vda' }),
      await startSnapshot(system, { vm, name: 's1' }),
    ];
    for (const other of others) {
      const failure = await failureOf(other.result());
      expect(failure).toMatchObject({ type: 'Refused', code: 'other-operation' });
      expect(failure.now).toMatch(/^move \S+ of halted\/vda to pool vault is unfinished/);
    }
    const result = await (await startMove(system, { image: diskOf(vm) })).result();
    expect(result).toMatchObject({ outcome: 'moved' });
    await removalOf(system, result);
    expect(await poolFiles(join(system.host.pools, POOL))).not.toContain(basename(file));
    expect(await recordOf(system, vm)).toBe(inVault(system, file));
  });

  it('is held, with its source, when another program has changed the chain', async () => {
    const vm = 'altered';
    const file = await ended(vm);
    await takeExternalSnapshot(system.host, vm, { file: inVault(system, `${vm}-2.qcow2`) });
    const failure = await failureOf((await startMove(system, { image: diskOf(vm) })).result());
    expect(failure).toMatchObject({ type: 'Hold', code: 'divergent-chain' });
    expect(failure.now).toContain(`its source is not deleted (${file})`);
    expect(await poolFiles(join(system.host.pools, POOL))).toContain(basename(file));
    // As the message says.
    await rm(file);
    await rm(/the folder (\S+)$/.exec(failure.next ?? '')?.[1] ?? '', { recursive: true });
    const again = await (await startMove(system, { image: diskOf(vm) })).result();
    expect(again).toMatchObject({ outcome: 'already-done' });
  });
});
