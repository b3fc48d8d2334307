/** Snapshots inside of images are deleted while the VM is down: by name, by handle, or refused. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import type { DeletionRequest } from '../../../client/index.ts';
import { commandLine, environmentOf, type Typed } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';
import { leakCluster, takeInner } from '../../support/guest/disks/inner-snapshots.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { DISKS, listed, takeSnapshot } from '../../support/guest/disks/three-disks.ts';
import { startInside, type InsideScene } from '../../support/scenes/inside-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use, useEach } from '../../support/use.ts';

const system = useSystem();
const blockflow = use('the client', () => connectTo(system));
const forTest = useEach();
let typed: Typed;
beforeAll(() => void (typed = commandLine(environmentOf(system))));
let scene: InsideScene;
let vm: string;
const start = async (name: string, snapshots: readonly string[]) => {
  vm = name;
  scene = await forTest(startInside(system, name, snapshots));
};

const deleted = async (request: Omit<DeletionRequest, 'vm'>) =>
  (await blockflow.deleteSnapshot({ vm, ...request })).result();
const handle = (disk: string, id: string, name: string, format: 'qcow2' | 'raw' = 'qcow2') => ({
  ...{ name, only: { disk, handle: { format, id, name } } },
});

/** Nothing is touched. */
async function expectRefused(
  request: Omit<DeletionRequest, 'vm'>,
  code: string,
  now: string | RegExp,
): Promise<void> {
  const before = [await scene.inside(), await listed(scene)];
  const failure = await blockflow
    .deleteSnapshot({ vm, ...request })
    .then((deletion) => deletion.result())
    .then(
      (result) => ({ unexpected: result }),
      (error: unknown) => error,
    );
  expect(failure).toMatchObject({
    type: 'Refused',
    details: { code, now: expect.stringMatching(now) },
  });
  expect([await scene.inside(), await listed(scene)]).toEqual(before);
}

describe('By its name, a snapshot inside of images', () => {
  it('is deleted from all disks, and those on it hang under its parent', async () => {
    await start('down', ['one', 'two', 'three']);
    await leakCluster(scene.images.vdb);
    await says(
      typed('snapshot', 'delete', 'down', 'two', '--dry-run'),
      0,
      'Deletion of two of down on h1\n',
      `    vdb     delete id 2 inside of ${scene.images.vdb}\n`,
      "    record  libvirt's list, when all of this is done\n",
    );
    const result = await deleted({ name: 'two' });
    expect(result).toMatchObject({
      outcome: 'deleted',
      summary: expect.stringMatching(
        /^deleted snapshot two of down: deleted from 3 of 3 disks \(vda, vdb, vdc\), /,
      ),
      disks: DISKS.map((disk) => ({ snapshot: 'two', disk, state: 'deleted', why: null })),
      warnings: [],
    });
    expect(await listed(scene)).toEqual({ one: null, three: 'one' });
    const left = ['1 one', '3 three'];
    expect(await scene.inside()).toEqual({ vda: left, vdb: left, vdc: left });
    await scene.expectSound();
    const again = await deleted({ name: 'two' });
    expect(again.summary).toMatch('already done, this request deleted it at 2');
    await scene.guest.start(60_000);
    await scene.guest.waitForAcks(1, 60_000);
    await scene.verifyAfterCrash();
  });

  it('is deleted with those that were taken on it, leaves first', async () => {
    await start('tree', ['one', 'two', 'three']);
    const { snapshots } = await deleted({ name: 'one', scope: 'children-only' });
    expect(snapshots).toEqual(['three', 'two']);
    expect(await listed(scene)).toEqual({ one: null });
    expect(await scene.inside()).toEqual({ vda: ['1 one'], vdb: ['1 one'], vdc: ['1 one'] });
    await deleted({ name: 'one', scope: 'children' });
    expect(await listed(scene)).toEqual({});
    expect(await scene.inside()).toEqual({ vda: [], vdb: [], vdc: [] });
    await scene.expectSound();
  });

  it('is deleted when libvirt does not list it, or only libvirt has it', async () => {
    await start('half', ['stale']);
    for (const name of ['-odd "name"', 'a/b']) await takeInner(scene.images.vdb, name);
    expect((await deleted({ name: '-odd "name"' })).disks).toMatchObject([{ disk: 'vdb' }]);
    await deleted({ name: 'a/b' });
    expect((await scene.inside())['vdb']).toEqual(['1 stale']);
    for (const disk of DISKS) await deleted(handle(disk, '1', 'stale'));
    // The record went with the last image that had it.
    expect(await listed(scene)).toEqual({});
    expect(await scene.inside()).toEqual({ vda: [], vdb: [], vdc: [] });
    await expectRefused({ name: 'stale' }, 'unknown-snapshot', /images have no snapshot inside$/);
  });

  it('is refused when an image has two of that name, or another process has one open', async () => {
    await start('dup', ['s']);
    await takeInner(scene.images.vdc, 's');
    await expectRefused(
      { name: 's' },
      'internal-snapshots',
      /vdc has several .* id 1 in .* id 2 in/,
    );
    await deleted(handle('vdc', '1', 's'));
    expect((await scene.inside())['vdc']).toEqual(['2 s']);
    expect(await listed(scene)).toEqual({ s: null });
    const clone = await createImage(join(scene.pool, 'dup-clone'), { below: scene.images.vdc });
    await deleted({ name: 's' });
    expect(await listed(scene)).toEqual({});
    await rm(clone);
  });

  it('is refused in a tree where others are layers', async () => {
    await start('mixed', ['in']);
    await takeSnapshot(scene, 'out');
    const words = /some are inside of images \(in\), others are layers \(out\)/;
    await expectRefused({ name: 'in', scope: 'children' }, 'internal-snapshots', words);
    // Alone it is in images that are below others now.
    const { warnings } = await deleted({ name: 'in' });
    expect(warnings).toHaveLength(3);
    expect(warnings[0]).toMatch(/is below other layers of vda, .* is refused afterwards$/);
    expect(await listed(scene)).toEqual({ out: null });
  });
});

describe('By its handle, exactly one', () => {
  it('is deleted, also when its name is the id of another one', async () => {
    await start('exact', []);
    for (const name of ['2', 'x', '1']) await takeInner(scene.images.vda, name);
    for (const [id, name] of [
      ['2', '2'],
      ['1', 'x'],
      ['9', 'x'],
    ] as const) {
      const words = `vda has 2 (id 1), x (id 2), 1 (id 3) inside, and none with name ${name}`;
      await expectRefused(handle('vda', id, name), 'unknown-snapshot', words.replace(/[()]/g, '.'));
    }
    await deleted(handle('vda', '1', '2'));
    expect((await scene.inside())['vda']).toEqual(['2 x', '3 1']);
    const request = ['snapshot', 'delete', 'exact', '1'];
    const typedHandle = [...request, '--disk', 'vda', '--format', 'qcow2', '--id', '3'];
    await says(typed(...typedHandle), 0, /^Done: .*deleted from 1 of 1 disk \(vda\)/m);
    await says(typed(...typedHandle), 0, 'already done, this request deleted it at 2');
    expect((await scene.inside())['vda']).toEqual(['2 x']);
    await says(typed(...request, '--disk', 'vda'), 2, 'only together');
    await scene.expectSound();
  });

  it('is refused when the format is not that of the disk, or there is no such disk', async () => {
    await start('typed', ['s']);
    const words = /disk vda is qcow2, and the handle says raw/;
    await expectRefused(handle('vda', '1', 's', 'raw'), 'unsupported-format', words);
    await expectRefused(handle('vdx', '1', 's'), 'unknown-disk', /vda, vdb, vdc/);
  });
});
