/** Negative flow of MoveImage: a cancel in each step. Before the switch only the source is left. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { cancelledAt } from '../support/cancelled-move.ts';
import { copiers, defineOff, digests, diskOf, expectOnlySource } from '../support/move-scene.ts';
import { inVault, recordOf, removalOf, startMove, undoOf } from '../support/move-scene.ts';
import { startMoveSystem } from '../support/move-scene.ts';
import { poolFiles } from '../support/pool-files.ts';
import { eventsOf, slowMove } from '../support/slow-move.ts';
import type { System } from '../support/system.ts';
import { waitUntil } from '../support/wait-until.ts';

let system: System;
beforeAll(async () => {
  system = await startMoveSystem({ name: 'cancels' });
});
afterEach(() => system.revive());
afterAll(() => system.close());

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
