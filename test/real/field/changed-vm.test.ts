/**
 * A VM that is renamed or undefined while an operation on its disk is under way: from the plan on
 * it is known by its UUID, and without a record nothing is tried without end.
 */
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import {
  contents,
  digests,
  expectNothingLeft,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
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
