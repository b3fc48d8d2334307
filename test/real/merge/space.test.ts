/** A base on a small file system: the operation waits for space and goes on by itself. */
import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { observePoolId } from '../../../activities/pool-folder/id.ts';
import { startDeltaScene } from '../../support/scenes/transfer/delta-scene.ts';
import { expectMerged, heartbeatNote, untilPhase } from '../../support/scenes/merge-proofs.ts';
import { SLOW } from '../../support/scenes/copying.ts';
import { asScene, startScene, type Scene } from '../../support/scenes/merge-scene.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { takeExternalSnapshot } from '../../support/guest/disks/snapshots.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use, useEach } from '../../support/use.ts';

const MIB = 2 ** 20;
let small: string;
let scene: Scene;
let count = 0;

const mount = use('the mount', () => mountOwn('tmpfs', 64));
const system = useSystem();
const forTest = useEach();
beforeAll(async () => {
  small = mount.path;
  await system.host.definePool('small', small);
  // Its id is written by an agent that finds it, as long as there is space.
  await waitUntil('the pool to have its id', async () => (await observePoolId(small)) !== null);
});
afterEach(async () => {
  await execa('sh', ['-c', 'rm -f -- "$0"/*', small]);
});

const filler = () => join(small, 'filler');
const freeBytes = async () => {
  const { bavail, bsize } = await statfs(small);
  return bavail * bsize;
};
/** Leaves `bytes` free on the base's file system. */
const fillTo = async (bytes: number) =>
  execa('fallocate', ['--length', `${(await freeBytes()) - bytes}`, filler()]);
const makeRoom = () => rm(filler());

async function copiedBytes(): Promise<number> {
  const info = await system.host.virsh('blockjob', scene.guest.name, 'vda', '--raw');
  return Number(/cur=(\d+)/.exec(info)?.[1] ?? 0);
}

/** A guest whose base is on the small file system; its overlay holds this much that it lacks. */
async function sceneOnSmall(bytes = 8 * MIB): Promise<void> {
  scene = await forTest(
    startDeltaScene(system, { vm: `small${++count}`, bytes, baseFolder: small }),
  );
}

describe('Too little space for the base', () => {
  it('when it is planned: it says how much is missing, goes on when there is room', async () => {
    await sceneOnSmall();
    await fillTo(MIB);
    const merge = await system.merge({ vm: scene.guest.name, disk: 'vda' });
    const { note } = await untilPhase(merge, 'waiting for space');
    expect(note).toMatch(/^\d+\.\d MiB are missing on the file system of .*; the VM runs on/);
    await waitUntil('the missing bytes in the heartbeat', async () =>
      /^\d+\.\d [KM]iB are missing on the file system of /.test(await heartbeatNote(merge)),
    );
    await scene.guest.waitForAcks(50);
    await makeRoom();
    await expectMerged(scene, merge);
  });

  it('in the middle of the copy: the job ends, and begins again when there is room', async () => {
    await sceneOnSmall(32 * MIB);
    const limited = { bandwidthBytesPerSecond: SLOW };
    const merge = await system.merge({ vm: scene.guest.name, disk: 'vda', ...limited });
    // A limit holds QEMU back only after its first 16 MiB.
    await waitUntil('the first half of the copy', async () => (await copiedBytes()) >= 16 * MIB);
    await fillTo(0);
    await merge.executeUpdate('bandwidth', { args: [0] });
    const { note } = await untilPhase(merge, 'waiting for space');
    expect(note).toMatch(/MiB are missing on the file system of/);
    await scene.guest.waitForAcks(50);
    await makeRoom();
    await expectMerged(scene, merge);
  });
});

describe('Too little space for the overlay', () => {
  /** A guest whose overlay is on the small file system, which is so full that QEMU paused it. */
  async function pausedFor(baseOnSmall: boolean): Promise<void> {
    const vm = `small${++count}`;
    scene = await forTest(
      baseOnSmall
        ? startDeltaScene(system, { vm, bytes: MIB, baseFolder: small })
        : startScene({ system, vm, layers: 0 }),
    );
    const { name } = scene.guest;
    const file = join(small, `${name}-full.qcow2`);
    await fillTo(MIB);
    await takeExternalSnapshot(system.host, name, { file });
    scene = asScene(system, scene.guest, [...scene.chain, file]);
    await waitUntil('QEMU to pause the guest', async () => (await stateOf(name)).includes('I/O'));
  }
  const stateOf = (vm: string) => system.host.virsh('domstate', vm, '--reason');

  it('the guest that QEMU paused runs on once its writes go to base', async () => {
    await pausedFor(false);
    await expectMerged(scene, await system.merge({ vm: scene.guest.name, disk: 'vda' }));
    expect(scene.guest.serial.writeErrors).toEqual([]);
  });

  it('the guest that QEMU paused runs on once an inner merge has deleted a volume', async () => {
    const vm = `small${++count}`;
    scene = await forTest(startDeltaScene(system, { vm, bytes: 24 * MIB, overlayFolder: small }));
    const [base = '', top = ''] = scene.chain;
    const active = join(small, `${vm}-full.qcow2`);
    await fillTo(MIB);
    await takeExternalSnapshot(system.host, vm, { file: active });
    scene = asScene(system, scene.guest, [...scene.chain, active]);
    await waitUntil('QEMU to pause the guest', async () => (await stateOf(vm)).includes('I/O'));
    const merge = await system.merge({ vm, disk: 'vda', top });
    expect(await merge.result()).toMatchObject({ mode: 'inner', chainAfter: [base, active] });
    expect(await stateOf(vm)).toMatch(/^running/);
    await scene.guest.waitForAcks(50);
    expect(scene.guest.serial.writeErrors).toEqual([]);
    await scene.verifyAfterCrash();
  });

  it('with base beside it: waits for space, then merges, and the guest runs on', async () => {
    await pausedFor(true);
    const merge = await system.merge({ vm: scene.guest.name, disk: 'vda' });
    await untilPhase(merge, 'waiting for space');
    expect(await stateOf(scene.guest.name)).toMatch(/^paused \(I\/O error\)/);
    await makeRoom();
    await expectMerged(scene, merge);
    expect(scene.guest.serial.writeErrors).toEqual([]);
  });
});
