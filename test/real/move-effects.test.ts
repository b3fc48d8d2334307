/** Every effect of a move, struck by every fault: the move still ends, once, with the same data. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { dailySample } from '../support/daily-sample.ts';
import { armFault, isArmed, type Fault } from '../support/faults.ts';
import { contents, copiers, defineOff, diskOf } from '../support/move-scene.ts';
import { recordOf, removalOf, startMove, startMoveSystem, VAULT } from '../support/move-scene.ts';
import { POOL } from '../support/merge-scene.ts';
import { poolFiles } from '../support/pool-files.ts';
import { takeExternalSnapshot } from '../support/snapshots.ts';
import type { System } from '../support/system.ts';

const VM = 'struck';
const names = [`${VM}-1.qcow2`, `${VM}.qcow2`];
let system: System;
let data: string[];
/** Each move brings it from one pool to the other. */
let at = POOL;
const folder = (pool: string) => join(system.host.pools, pool);
const chain = (pool: string) => names.toReversed().map((name) => join(folder(pool), name));

beforeAll(async () => {
  system = await startMoveSystem({ name: 'struck' });
  await defineOff(system, VM, { bytes: 2 ** 20 });
  const file = join(folder(POOL), `${VM}-1.qcow2`);
  await takeExternalSnapshot(system.host, VM, { file, name: 's1' });
  data = await contents(chain(POOL));
});
afterAll(() => system.close());

/** Starts again whatever a fault has ended, until the operation is over. */
async function whileReviving<T>(result: Promise<T>): Promise<T> {
  let over = false;
  const end = () => void (over = true);
  result.then(end, end);
  while (!over) {
    await system.revive();
    await new Promise((done) => setTimeout(done, 200));
  }
  return result;
}

const effects = [
  'storage.reserve-image',
  'image.hold',
  'image.reflink',
  'image.start-copy',
  'image.end-copy',
  'image.complete-copy',
  'image.pass-verification',
  'qemu-img.rebase',
  'storage.name-volume',
  'libvirt.switch-disk-source',
  'libvirt.redefine-snapshot',
  'image.release',
  'storage.remove-reservation',
  'storage.wipe-volume',
] as const satisfies Fault['effect'][];
const actions = ['kill-after', 'twice'] as const;

describe.each(dailySample(effects, 5))('%s', (effect) => {
  it.each(actions)('%s: the move ends once, with the same data', async (action) => {
    const to = at === POOL ? VAULT : POOL;
    armFault(system.trace, { effect, action });
    const move = await startMove(system, { image: diskOf(VM), to, wipe: true });
    const result = await whileReviving(move.result());
    expect(result).toMatchObject({ outcome: 'moved', chainAfter: chain(to), warnings: [] });
    await whileReviving(removalOf(system, result));
    expect(isArmed(system.trace)).toBe(false);
    expect(await poolFiles(folder(at))).toEqual([]);
    expect(await poolFiles(folder(to))).toEqual(names);
    expect(await contents(chain(to))).toEqual(data);
    expect(await recordOf(system, VM)).toBe(chain(to)[1]);
    const snapshot = await system.host.virsh('snapshot-dumpxml', VM, 's1');
    expect(snapshot).not.toContain(folder(at));
    expect(await copiers(system)).toEqual([]);
    at = to;
  });
});
