/** Snapshots of a VM with three disks are deleted: one merge a disk, and the record last. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import type { DeletionRequest } from '../../../client/index.ts';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import {
  DISKS,
  layerOf,
  listed,
  startThreeDisks,
  takeSnapshot,
  type ThreeDisks,
} from '../../support/guest/disks/three-disks.ts';
import { expectLeftClean } from '../../support/scenes/merge-checks.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use, useEach } from '../../support/use.ts';

const system = useSystem();
const blockflow = use('the client', () => connectTo(system));
const forTest = useEach();
let scene: ThreeDisks;

const start = async (vm: string, snapshots: readonly string[], running = true) =>
  (scene = await forTest(startThreeDisks({ system, vm, snapshots, running })));
const deleted = async (request: DeletionRequest) =>
  (await blockflow.deleteSnapshot(request)).result();
const failureOf = (request: DeletionRequest) =>
  deleted(request).then(
    (result) => ({ unexpected: result }),
    (error: unknown) => error,
  );

/** Of each disk the base, and its layers of these snapshots; nothing else. */
const filesWith = (...snapshots: string[]) => {
  const vm = scene.guest.name;
  const bases = [`${vm}.qcow2`, `${vm}-vdb.qcow2`, `${vm}-vdc.qcow2`];
  const layers = snapshots.flatMap((name) => DISKS.map((disk) => `${vm}-${name}-${disk}`));
  return [...bases, ...layers];
};

describe('a snapshot of a running VM', () => {
  it('is deleted on all disks, and those on it hang under its parent', async () => {
    await start('mid', ['one', 'two', 'three']);
    const result = await deleted({ vm: 'mid', name: 'two' });
    expect(result).toMatchObject({
      outcome: 'deleted',
      summary: expect.stringContaining('deleted snapshot two of mid: 3 of 3 disks merged (vda, '),
      snapshots: ['two'],
      disks: DISKS.map((disk) => ({ snapshot: 'two', disk, state: 'merged', why: null })),
      warnings: [],
    });
    expect([...result.deleted].sort()).toEqual(DISKS.map((disk) => layerOf(scene, 'two', disk)));
    expect(result.regainedBytes).toBeGreaterThan(2 * 2 ** 20);
    expect(await listed(scene)).toEqual({ one: null, three: 'one' });
    await expectLeftClean(scene, filesWith('one', 'three'));
    await scene.expectData();
    const again = await deleted({ vm: 'mid', name: 'two' });
    expect(again).toMatchObject({ outcome: 'already-done', deleted: [] });
    expect(again.summary).toMatch('already done, this request deleted it at 2');
    await scene.verifyAfterCrash();
  });

  it('goes with all that were taken on it, leaves first', async () => {
    await start('tree', ['one', 'two', 'three']);
    const only = await deleted({ vm: 'tree', name: 'one', scope: 'children-only' });
    expect(only.snapshots).toEqual(['three', 'two']);
    expect(await listed(scene)).toEqual({ one: null });
    await expectLeftClean(scene, filesWith('one'));
    await takeSnapshot(scene, 'four');
    const { snapshots } = await deleted({ vm: 'tree', name: 'one', scope: 'children' });
    expect(snapshots).toEqual(['four', 'one']);
    expect(await listed(scene)).toEqual({});
    await expectLeftClean(scene, filesWith());
    await scene.expectData();
    await scene.verifyAfterCrash();
  });

  it('is refused as a whole when one disk is, and nothing is touched', async () => {
    await start('shared', ['one', 'two']);
    const file = join(scene.pool, 'shared-clone.qcow2');
    await createImage(file, { below: layerOf(scene, 'one', 'vdc') });
    const before = await scene.files();
    for (const request of [{ name: 'one' }, { name: 'one', scope: 'children' as const }]) {
      expect(await failureOf({ vm: 'shared', ...request })).toMatchObject({
        type: 'Refused',
        details: { code: 'shared-base', now: expect.stringContaining(file) },
      });
    }
    expect(await scene.files()).toEqual(before);
    expect(await listed(scene)).toEqual({ one: null, two: 'one' });
    await rm(file);
    expect(await failureOf({ vm: 'shared', name: 'none' })).toMatchObject({
      type: 'Refused',
      details: {
        code: 'unknown-snapshot',
        now: expect.stringMatching(/^libvirt lists one, two, /),
      },
    });
    await scene.verifyAfterCrash();
  });
});

describe('a snapshot of a VM that is down', () => {
  it('is deleted on all disks', async () => {
    await start('off', ['one', 'two'], false);
    const result = await deleted({ vm: 'off', name: 'two' });
    expect(result).toMatchObject({ outcome: 'deleted', snapshots: ['two'] });
    expect(await listed(scene)).toEqual({ one: null });
    await expectLeftClean(scene, filesWith('one'));
    await scene.expectData();
  });

  it('is refused when a layer has another one inside, or is of another branch', async () => {
    await start('odd', ['one'], false);
    await system.host.virsh('snapshot-create-as', 'odd', 'inside');
    // Its images would lose what is inside of them.
    expect(await failureOf({ vm: 'odd', name: 'one' })).toMatchObject({
      type: 'Refused',
      details: { code: 'internal-snapshots', now: expect.stringContaining('inside') },
    });
    await system.host.virsh('snapshot-delete', 'odd', 'inside');
    const layer = layerOf(scene, 'one', 'vdc');
    const base = join(scene.pool, 'odd-vdc.qcow2');
    const other = join(scene.pool, 'odd-other-vdc');
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', other]);
    const xml = await system.host.virsh('dumpxml', 'odd');
    const file = join(system.host.root, 'odd-other.xml');
    await execa('tee', [file], { input: xml.replace(layer, other), stdout: 'ignore' });
    await system.host.virsh('define', file);
    expect(await failureOf({ vm: 'odd', name: 'one' })).toMatchObject({
      type: 'Refused',
      details: { code: 'volume-not-in-chain', now: expect.stringContaining(layer) },
    });
    expect(await listed(scene)).toEqual({ one: null });
  });
});

describe('a snapshot with memory', () => {
  it('is deleted with its memory file, and the plan says so', async () => {
    await start('mem', ['one']);
    const memory = join(scene.pool, 'mem-memory');
    const specs = DISKS.flatMap((disk) => [
      '--diskspec',
      `${disk},file=${layerOf(scene, 'm', disk)}`,
    ]);
    const options = ['--memspec', `file=${memory}`, '--atomic'];
    await system.host.virsh('snapshot-create-as', 'mem', 'm', ...options, ...specs);
    const plan = await blockflow.planDeletion({ vm: 'mem', name: 'm' });
    expect(plan).toMatchObject({
      kind: 'plan',
      deletion: {
        snapshots: [{ memory: { file: memory, volume: { path: memory }, stays: null } }],
      },
    });
    const result = await deleted({ vm: 'mem', name: 'm' });
    expect(result.deleted).toContain(memory);
    expect(result.warnings).toEqual([]);
    expect(await listed(scene)).toEqual({ one: null });
    await expectLeftClean(scene, filesWith('one'));
    await scene.verifyAfterCrash();
  });
});
