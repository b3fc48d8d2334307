/** The daemon that takes or deletes what is inside of images is killed, at each of its writes. */
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { makeStruckDaemon, type StruckDaemon } from '../../support/faults/struck-daemon.ts';
import { listed } from '../../support/guest/disks/three-disks.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { startInside, type InsideScene } from '../../support/scenes/inside-scene.ts';
import { startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { deleteSnapshot, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

let daemon: StruckDaemon;
const pathFolder = (root: string) => (daemon = makeStruckDaemon(root)).folder;
const system = useSystem(() => startSharedSystem({ name: 'inside-struck', pathFolder }));
const forTest = useEach();
let count = 0;
let scene: InsideScene;
let vm: string;

/** Each layer of the data has a place of its own, so that a lost one is seen. */
const write = (byte: number) =>
  execa('qemu-io', ['-f', 'qcow2', '-c', `write -q -P ${byte} ${byte}M 1M`, scene.images.vdb]);
const read = (byte: number) =>
  execa('qemu-io', ['-f', 'qcow2', '-r', '-c', `read -P ${byte} ${byte}M 1M`, scene.images.vdb]);

async function prepare(...names: string[]): Promise<void> {
  vm = `hit${++count}`;
  scene = await forTest(startInside(system, vm, []));
  for (const [at, name] of names.entries()) {
    await write(at + 1);
    await system.host.virsh('snapshot-create-as', vm, name);
  }
  await write(9);
}

async function expectWhole(names: string[], ids: string[]): Promise<void> {
  expect(daemon.isArmed()).toBe(false);
  expect(Object.keys(await listed(scene))).toEqual(names);
  expect(await scene.inside()).toEqual({ vda: ids, vdb: ids, vdc: ids });
  await scene.expectSound();
  await read(9);
  const last = names.at(-1) ?? '';
  await system.host.virsh('snapshot-revert', vm, last);
  await read(1);
}

describe('qemu-storage-daemon is killed', () => {
  it.each([1, 2, 4, 5, 6, 7, 9, 11])(
    'at write %s of a transaction: taken all the same',
    async (n) => {
      await prepare('s0');
      daemon.killAtWrite(n);
      await takeSnapshot(system, { vm, name: 's1', internal: true });
      await expectWhole(['s0', 's1'], ['1 s0', '2 s1']);
    },
  );

  it.each([1, 2, 3, 4, 5, 6])(
    'at write %s of a deletion: told, and the rest is done',
    async (n) => {
      await prepare('s0', 's1');
      daemon.killAtWrite(n);
      const failure = await failureOf(deleteSnapshot(system, { vm, name: 's1' }));
      if (failure.code === 'partly-deleted') {
        expect(failure.now).toMatch(/^deleted from 2 of 3 disks \(vdb, vdc\); vda failed: /);
        expect((await scene.inside())['vda']).toEqual(['1 s0', '2 s1']);
        // With which write the image has it no more depends on what else QEMU writes.
      } else expect([failure, n > 1]).toEqual([{}, true]);
      await deleteSnapshot(system, { vm, name: 's1' });
      await expectWhole(['s0'], ['1 s0']);
    },
  );
});
