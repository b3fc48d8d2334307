/** Negative flow of MoveImage: a cancel in each step. Before the switch only the source is left. */
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { cancelAt, cancelledAt } from '../../support/scenes/transfer/cancelled-move.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  copiers,
  defineOff,
  digests,
  diskOf,
  expectNothingLeft,
  expectOnlySource,
  inVault,
  plainVolume,
  recordOf,
  removalOf,
  startCopy,
  startMove,
  startMoveSystem,
  startRemoval,
  undoOf,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { eventsOf, slowMove } from '../../support/scenes/transfer/slow-move.ts';
import { takeExternalSnapshot } from '../../support/guest/disks/snapshots.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'cancels' }));

const MIB = 2 ** 20;
type Moving = Awaited<ReturnType<typeof startMove>>;

/** The source is what it was, the record names it, the VM starts; nothing else is there. */
async function expectCancelled(
  { vm, file, before }: { vm: string; file: string; before: object },
  move: Moving,
  copies = true,
) {
  await expect(move.result()).rejects.toThrow();
  expect((await move.describe()).status.name).toBe('CANCELLED');
  if (copies) await undoOf(system, move);
  expect((await eventsOf(system, `${vm}/vda`)).at(-1)?.kind).toBe('cancelled');
  await expectOnlySource(system, { vm, file, before });
}

describe('Negative flow (cancel before the switch)', () => {
  it('in the plan', async () => {
    const file = await defineOff(system, 'plan', { bytes: MIB });
    const before = await digests([file]);
    await system.killRole('host');
    const move = await startMove(system, { image: diskOf('plan') });
    await waitUntil('the plan to be asked for', async () => {
      const { raw } = await move.describe();
      return (raw.pendingActivities ?? []).length > 0;
    });
    await move.cancel();
    await expectCancelled({ vm: 'plan', file, before }, move, false);
  });

  it('in the copy', async () => {
    const { file, before, move } = await slowMove(system, 'copy');
    await move.cancel();
    await expectCancelled({ vm: 'copy', file, before }, move);
  });

  it.each([
    ['reserve', 'storage.reserve-image', 'stop-before'],
    ['reserved', 'storage.reserve-image', 'stop-after'],
    ['hold', 'image.hold', 'stop-after'],
    ['verify', 'image.pass-verification', 'stop-before'],
    ['name', 'storage.name-volume', 'stop-before'],
    ['named', 'storage.name-volume', 'stop-after'],
  ] as const)('in the step "%s" (%s, %s)', async (vm, effect, action) => {
    const { file, before, move } = await cancelledAt(system, vm, { effect, action });
    await expectCancelled({ vm, file, before }, move);
  });
});

describe('Negative flow (cancel before the switch, what not every move does)', () => {
  it('while the target of a conversion is created', async () => {
    const file = await defineOff(system, 'create', { bytes: MIB });
    const before = await digests([file]);
    const request = { image: diskOf('create'), format: 'raw' } as const;
    const at = { effect: 'image.create-target', action: 'stop-before' } as const;
    const move = await cancelAt(system, () => startMove(system, request), at);
    await expectCancelled({ vm: 'create', file, before }, move);
  });

  it('while the copies of a chain get the names of copies', async () => {
    const base = await defineOff(system, 'chained', { bytes: MIB });
    const file = join(dirname(base), 'chained-1.qcow2');
    await takeExternalSnapshot(system.host, 'chained', { file, name: 's1' });
    const before = await digests([file]);
    const start = () => startMove(system, { image: diskOf('chained') });
    const at = { effect: 'qemu-img.rebase', action: 'stop-before' } as const;
    const move = await cancelAt(system, start, at);
    await expectCancelled({ vm: 'chained', file, before }, move);
  });
});

describe('Negative flow (cancel of a copy)', () => {
  it('leaves the source alone, and nothing in the other pool', async () => {
    const image = await plainVolume(system, 'copied', 'raw');
    const start = () => startCopy(system, { image, to: VAULT, name: 'clone' });
    const at = { effect: 'image.complete-copy', action: 'stop-before' } as const;
    const copy = await cancelAt(system, start, at);
    await expect(copy.result()).rejects.toThrow();
    expect((await copy.describe()).status.name).toBe('CANCELLED');
    await undoOf(system, copy);
    await expectNothingLeft(system, ['copied.raw']);
  });
});

describe('Negative flow (cancel of a removal)', () => {
  it.each(['stop-before', 'stop-after'] as const)(
    'is refused once the deletion has begun (%s), and completed',
    async (action) => {
      await plainVolume(system, `gone-${action}`, 'raw');
      const volume = { pool: POOL, volume: `gone-${action}.raw`, format: 'raw' } as const;
      const start = () => startRemoval(system, { ...volume, wipe: false });
      const at = { effect: 'storage.quarantine-volume', action } as const;
      const removal = await cancelAt(system, start, at);
      expect(await removal.result()).toMatchObject({ outcome: 'removed' });
      const events = await eventsOf(system, `${POOL}/${volume.volume}`);
      expect(events.map(({ kind }) => kind)).toEqual(['started', 'cancel-refused', 'removed']);
    },
  );
});

describe('Negative flow (cancel after the switch)', () => {
  it.each([
    ['switch', 'libvirt.switch-disk-source', 'stop-before'],
    ['switched', 'libvirt.switch-disk-source', 'stop-after'],
    ['release', 'image.release', 'stop-before'],
    ['tidy', 'storage.remove-reservation', 'stop-before'],
  ] as const)('in the step "%s" (%s, %s) is refused', async (vm, effect, action) => {
    const { file, before, move } = await cancelledAt(system, vm, { effect, action });
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'moved', chainAfter: [inVault(system, file)] });
    await removalOf(system, result);
    expect(await digests([inVault(system, file)])).toEqual(before);
    expect(await recordOf(system, vm)).toBe(inVault(system, file));
    const kinds = (await eventsOf(system, `${vm}/vda`)).map(({ kind }) => kind);
    expect(kinds).toEqual(['started', 'cancel-refused', 'moved']);
    expect((await poolFiles(inVault(system, ''))).filter((name) => name[0] === '.')).toEqual([]);
    expect(await copiers(system)).toEqual([]);
    await system.host.virsh('start', vm);
    await system.host.virsh('destroy', vm);
  });
});
