/**
 * A VM that is renamed or undefined while an operation on its disk is under way: from the plan on
 * it is known by its UUID, and without a record nothing is tried without end.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import {
  contents,
  digests,
  expectNothingLeft,
  removalOf,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'changed' }));
const inPool = () => join(system.host.pools, POOL);

/** Starts what ends before the switch of a record, does this meanwhile, and lets it go on. */
async function meanwhile<T>(
  effect: 'libvirt.switch-disk-source' | 'qemu-img.commit',
  start: () => Promise<{ result(): Promise<T> }>,
  change: () => Promise<unknown>,
): Promise<{ result: T } | { failure: ReturnType<typeof failureDetails> }> {
  await system.killRole('host');
  await system.startRole('host', [{ effect, action: 'stop-before' }]);
  const operation = await start();
  await system.roleStopped('host');
  await change();
  system.signalRole('host', 'SIGCONT');
  return operation.result().then(
    (result) => ({ result }),
    (error: unknown) => ({ failure: failureDetails(error) }),
  );
}

describe('A VM that is renamed', () => {
  it('has its cold merge completed, whenever it gets the other name', async () => {
    for (const effect of ['qemu-img.commit', 'libvirt.switch-disk-source'] as const) {
      const vm = effect === 'qemu-img.commit' ? 'early' : 'late';
      const { chain } = await defineChain(system.host, vm, inPool(), 2);
      const [content] = (await contents(chain)).slice(-1);
      const start = () => system.merge({ vm, disk: 'vdb' });
      const end = await meanwhile(effect, start, () =>
        system.host.virsh('domrename', vm, `${vm}2`),
      );
      expect(end).toMatchObject({ result: { outcome: 'merged', chainAfter: [chain[0]] } });
      expect(await contents(chain.slice(0, 1))).toEqual([content]);
      expect(await system.host.virsh('dumpxml', `${vm}2`)).toContain(chain[0]);
    }
  });
});

describe('A VM that is renamed after a move that was ended in its switch', () => {
  it('is told how that move is finished, by a merge and by a move', async () => {
    const { chain, image } = await defineChain(system.host, 'ended', inPool(), 2);
    const before = await digests(chain);
    await system.killRole('host');
    const effect = 'libvirt.switch-disk-source';
    await system.startRole('host', [{ effect, action: 'stop-after' }]);
    const ended = await startMove(system, { image, to: VAULT });
    await system.roleStopped('host');
    await ended.terminate();
    system.signalRole('host', 'SIGCONT');
    await system.host.virsh('domrename', 'ended', 'ended2');
    const renamed = { ...image, vm: 'ended2' };
    for (const start of [
      () => startMove(system, { image: renamed, to: VAULT }),
      () => system.merge({ vm: 'ended2', disk: image.disk }),
    ]) {
      const again = await start();
      const failure = failureDetails(await again.result().catch((error: unknown) => error));
      expect(failure).toMatchObject({ type: 'Refused', details: { code: 'other-operation' } });
      expect(failure?.details.next).toContain(
        '`virsh domrename ended2 ended`, `blockflow move ended/vdb --to vault`, ' +
          '`virsh domrename ended ended2`',
      );
    }
    expect(await digests(chain)).toEqual(before);
    await system.host.virsh('domrename', 'ended2', 'ended');
    const repeated = await startMove(system, { image, to: VAULT });
    const result = await repeated.result();
    expect(result).toMatchObject({ outcome: 'moved' });
    await removalOf(system, result);
    const names = chain.map((path) => basename(path)).sort();
    const vault = join(system.host.pools, VAULT);
    expect(await poolFiles(vault)).toEqual(names);
    expect(chain.filter((path) => existsSync(path))).toEqual([]);
    await Promise.all(names.map((name) => rm(join(vault, name))));
  });
});

describe('A VM that is undefined', () => {
  it('ends its cold merge with what is true, and both files stay', async () => {
    for (const effect of ['qemu-img.commit', 'libvirt.switch-disk-source'] as const) {
      const vm = effect === 'qemu-img.commit' ? 'soon' : 'then';
      const { chain } = await defineChain(system.host, vm, inPool(), 2);
      const [content] = (await contents(chain)).slice(-1);
      const start = () => system.merge({ vm, disk: 'vdb' });
      const end = await meanwhile(effect, start, () => system.host.virsh('undefine', vm));
      expect(end).toMatchObject({ failure: { type: 'Retry', details: { code: 'vm-gone' } } });
      expect(await contents(chain.slice(-1))).toEqual([content]);
    }
  });

  it('has its move undone', async () => {
    const { chain, image } = await defineChain(system.host, 'moves', inPool(), 2);
    const before = await digests(chain);
    const start = () => startMove(system, { image, to: VAULT });
    const undefine = () => system.host.virsh('undefine', 'moves');
    const end = await meanwhile('libvirt.switch-disk-source', start, undefine);
    expect(end).toMatchObject({ failure: { type: 'Retry', details: { code: 'vm-gone' } } });
    await expectNothingLeft(system, []);
    expect(await digests(chain)).toEqual(before);
  });
});
