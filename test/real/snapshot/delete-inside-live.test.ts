/** Snapshots inside of images are deleted while the VM runs, where libvirt 9.0 does it. */
import { describe, expect, it } from '@jest/globals';
import type { DeletionRequest } from '../../../client/index.ts';
import { isNewer } from '../../support/host/libvirt-version.ts';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import { takeInner } from '../../support/guest/disks/inner-snapshots.ts';
import { listed, takeSnapshot } from '../../support/guest/disks/three-disks.ts';
import {
  attachRaw,
  expectUntainted,
  startInside,
  type InsideScene,
} from '../../support/scenes/inside-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use, useEach } from '../../support/use.ts';

const system = useSystem();
const blockflow = use('the client', () => connectTo(system));
const forTest = useEach();
let scene: InsideScene;
let vm: string;
const prepare = async (name: string, snapshots: readonly string[]) => {
  vm = name;
  scene = await forTest(startInside(system, name, snapshots));
};
const run = async () => {
  await scene.guest.start(60_000);
  await scene.guest.waitForAcks(17, 60_000);
};
const deleted = async (request: Omit<DeletionRequest, 'vm'>) =>
  (await blockflow.deleteSnapshot({ vm, ...request })).result();
const handle = (disk: 'vda' | 'vdb' | 'vdc', id: string, name: string) => ({
  ...{ name, only: { disk, handle: { format: 'qcow2' as const, id, name } } },
});

/** Before anything is touched, with the way that works. */
async function expectRefused(
  request: Omit<DeletionRequest, 'vm'>,
  now: RegExp,
  newer = false,
): Promise<void> {
  const before = [await scene.inside(), await listed(scene), (await system.effects()).length];
  const failure = await deleted(request).then(
    (result) => ({ unexpected: result }),
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({
    type: 'Refused',
    details: {
      code: 'vm-running',
      now: expect.stringMatching(now),
      next: expect.stringMatching(
        newer ? /, or use libvirt 10\.9 or newer$/ : /repeat the request$/,
      ),
    },
  });
  const [inside, list, effects] = before;
  expect([await scene.inside(), await listed(scene)]).toEqual([inside, list]);
  expect((await system.effects()).slice(Number(effects)).join()).not.toMatch(/libvirt|image/);
}

describe('While the VM runs, a snapshot inside of its images', () => {
  it('is deleted from all disks, known to libvirt or not, and the VM is not tainted', async () => {
    await prepare('live', ['one', 'two']);
    await takeInner(scene.images.vdc, 'alone');
    await run();
    const result = await deleted({ name: 'one' });
    expect(result.summary).toMatch('deleted from 3 of 3 disks (vda, vdb, vdc)');
    expect(await listed(scene)).toEqual({ two: null });
    const left = ['2 two'];
    expect(await scene.inside()).toEqual({ vda: left, vdb: left, vdc: ['2 two', '3 alone'] });
    await deleted({ name: 'alone' });
    expect(await scene.inside()).toEqual({ vda: left, vdb: left, vdc: left });
    expect(await listed(scene)).toEqual({ two: null });
    await expectUntainted(scene);
    await scene.verifyAfterCrash();
    await scene.expectSound();
  });

  it('is deleted with the memory of the guest in it', async () => {
    await prepare('memory', []);
    await run();
    await system.host.virsh('snapshot-create-as', vm, 'm1');
    await system.host.virsh('snapshot-create-as', vm, 'm2');
    const { snapshots } = await deleted({ name: 'm1', scope: 'children' });
    expect(snapshots).toEqual(['m2', 'm1']);
    expect(await listed(scene)).toEqual({});
    expect(await scene.inside()).toEqual({ vda: [], vdb: [], vdc: [] });
    await expectUntainted(scene);
    await scene.verifyAfterCrash();
  });
});

describe('While the VM runs it is refused', () => {
  it('beside a disk that is not qcow2', async () => {
    await prepare('raw', ['s']);
    await attachRaw(scene);
    await run();
    if (await isNewer(system.host)) return void (await deleted({ name: 's' }));
    const words = /libvirt 9\.\d+\.\d+ cannot do it: every disk .* qcow2, and vdd is not/;
    await expectRefused({ name: 's' }, words, true);
  });

  it('by names that libvirt or QEMU reads otherwise, or not at all', async () => {
    await prepare('names', ['s']);
    for (const name of ['a"b', 'a\\b', 'a/b', '.x']) await takeInner(scene.images.vdb, name);
    await run();
    const isNew = await isNewer(system.host);
    const words = isNew ? /only letters, digits/ : /a quote or a backslash in the name/;
    await expectRefused({ name: 'a"b' }, words, !isNew);
    await expectRefused({ name: 'a\\b' }, words, !isNew);
    await expectRefused({ name: 'a/b' }, /takes no name with a slash, or a dot first/);
    await expectRefused({ name: '.x' }, /takes no name with a slash, or a dot first/);
  });

  it('where the name would mean another one, too', async () => {
    await prepare('twice', ['s']);
    for (const name of ['d', 'd']) await takeInner(scene.images.vdc, name);
    await run();
    await expectRefused(
      handle('vdc', '3', 'd'),
      /vdc\.qcow2 has several of that name \(ids 2, 3\)/,
    );
    await expectRefused(handle('vda', '1', 's'), /vdb would lose its own \(id 1\)/);
  });

  it('below an overlay, or beside one of that name', async () => {
    await prepare('below', ['s']);
    await takeSnapshot(scene, 'out');
    await run();
    await expectRefused({ name: 's' }, /below\.qcow2, which has it, is below other layers/);
  });
});
