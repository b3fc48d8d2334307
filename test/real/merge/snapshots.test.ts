import { describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { execa } from 'execa';
import { expectLeftClean, merged, SMALL } from '../../support/scenes/merge-checks.ts';
import { startScene, type Scene, type SceneOptions } from '../../support/scenes/merge-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

let scene: Scene;
const system = useSystem();
const forTest = useEach();

const start = async (options: SceneOptions) =>
  (scene = await forTest(startScene({ system, guest: SMALL, layers: 3, ...options })));
const NAMES = ['first', 'second', 'third one'];

/** What libvirt tells of a VM's snapshots: name and parent of each, and the current one. */
async function snapshotTree(vm: string) {
  const virsh = (...args: string[]) => system.host.virsh('-q', ...args);
  const names = (await virsh('snapshot-list', vm, '--name')).split('\n').filter(Boolean);
  const parents = names.map(async (name) => {
    const xml = await virsh('snapshot-dumpxml', vm, '--snapshotname', name);
    return [name, /<parent>\s*<name>(.*)<\/name>/.exec(xml)?.[1] ?? null] as const;
  });
  const current = (await virsh('snapshot-current', vm, '--name').catch(() => '')).trim();
  return { parents: Object.fromEntries(await Promise.all(parents)), current };
}

const snapshotXml = (vm: string, name: string) =>
  system.host.virsh('snapshot-dumpxml', vm, '--snapshotname', name);

describe('deleting an external snapshot of three', () => {
  it('deletes the newest: the active layer is merged, its parent becomes current', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'newest', snapshotNames: NAMES });
    const result = await merged(system, { vm: 'newest', disk: 'vda', snapshot: 'third one' });
    expect(result).toMatchObject({ mode: 'active', chainAfter: chain.slice(0, 3) });
    expect(await snapshotTree('newest')).toEqual({
      parents: { first: null, second: 'first' },
      current: 'second',
    });
    await expectLeftClean(scene, chain.slice(0, 3).map(fileName));
    await verifyAfterCrash();
  });

  it('deletes the one in the middle: its child names the volume below', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'mid', snapshotNames: NAMES });
    const [base, first, second, third] = chain as [string, string, string, string];
    const result = await merged(system, { vm: 'mid', disk: 'vda', snapshot: 'second' });
    expect(result).toMatchObject({ mode: 'inner', chainAfter: [base, first, third] });
    expect(await snapshotTree('mid')).toEqual({
      parents: { first: null, 'third one': 'first' },
      current: 'third one',
    });
    const xml = await snapshotXml('mid', 'third one');
    expect(xml).not.toContain(second);
    expect(xml).toMatch(new RegExp(`type='qcow2'[^>]*/>\\s*<source file='${first}'/>`));
    await expectLeftClean(scene, [base, first, third].map(fileName));
    await verifyAfterCrash();
  });

  it('deletes the oldest into a raw base: its child boots the base as raw', async () => {
    const { chain, verifyAfterCrash } = await start({
      vm: 'oldest',
      snapshotNames: NAMES,
      format: 'raw',
    });
    const [base, first, second, third] = chain as [string, string, string, string];
    const result = await merged(system, { vm: 'oldest', disk: 'vda', snapshot: 'first' });
    expect(result).toMatchObject({ mode: 'inner', chainAfter: [base, second, third] });
    expect(await snapshotTree('oldest')).toEqual({
      parents: { second: null, 'third one': 'second' },
      current: 'third one',
    });
    const xml = await snapshotXml('oldest', 'second');
    expect(xml).not.toContain(first);
    expect(xml).toMatch(new RegExp(`type='raw'[^>]*/>\\s*<source file='${base}'/>`));
    expect(await snapshotXml('oldest', 'third one')).not.toContain(first);
    await expectLeftClean(scene, [base, second, third].map(fileName));
    await verifyAfterCrash();
  });

  it('deletes the records of all snapshots whose layers one merge takes', async () => {
    const { chain, verifyAfterCrash } = await start({ vm: 'all', snapshotNames: NAMES });
    const result = await merged(system, { vm: 'all', disk: 'vda' });
    expect(result).toMatchObject({ mode: 'active', chainAfter: chain.slice(0, 1) });
    expect(await snapshotTree('all')).toEqual({ parents: {}, current: '' });
    await expectLeftClean(scene, ['all.qcow2']);
    await verifyAfterCrash();
  });
});

const fileName = (path: string) => path.slice(path.lastIndexOf('/') + 1);

/** A running guest with a second disk, and libvirt's snapshots `one` and `more` of both. */
async function startWithTwoDisks(vm: string) {
  const { guest, pool } = await start({ vm, layers: 0 });
  const second = join(pool, `${vm}-data.qcow2`);
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', second, '8M']);
  const attach = ['--targetbus', 'virtio', '--driver', 'qemu', '--subdriver', 'qcow2'];
  await system.host.virsh('attach-disk', vm, second, 'vdb', ...attach, '--live', '--config');
  const files = (name: string) => ['vda', 'vdb'].map((disk) => join(pool, `${vm}-${name}-${disk}`));
  for (const name of ['one', 'more']) {
    const specs = files(name).flatMap((file) => {
      return ['--diskspec', `${file.slice(-3)},snapshot=external,file=${file}`];
    });
    const options = ['--disk-only', '--atomic', ...specs];
    await system.host.virsh('snapshot-create-as', vm, name, ...options);
    await guest.waitForAcks(17);
  }
}

describe('deleting an external snapshot of two disks', () => {
  it('keeps the record for the other disk until that is merged too', async () => {
    await startWithTwoDisks('two');
    const { verifyAfterCrash } = scene;
    const delta = { vm: 'two', snapshot: 'one' };
    const { warnings } = await merged(system, { ...delta, disk: 'vda' });
    const others = 'snapshot one has other disks too, which stay as they are: vdb; ';
    expect(warnings).toEqual([
      `${others}\`blockflow snapshot delete two one\` deletes it on all of them`,
    ]);
    const afterFirst = { parents: { one: null, more: 'one' }, current: 'more' };
    expect(await snapshotTree('two')).toEqual(afterFirst);
    expect(await snapshotXml('two', 'one')).toMatch(/<disk name='vda' snapshot='no'\/>/);
    expect(await snapshotXml('two', 'one')).toContain('two-one-vdb');
    expect(await snapshotXml('two', 'more')).not.toContain('two-one-vda');
    expect((await merged(system, { ...delta, disk: 'vdb' })).warnings).toEqual([]);
    expect(await snapshotTree('two')).toEqual({ parents: { more: null }, current: 'more' });
    expect(await snapshotXml('two', 'more')).not.toContain('two-one-vdb');
    const kept = ['two.qcow2', 'two-data.qcow2', 'two-more-vda', 'two-more-vdb'];
    await expectLeftClean(scene, kept);
    await verifyAfterCrash();
  });

  it('deletes the record when both are merged at once, whichever is the last', async () => {
    await startWithTwoDisks('both');
    const { verifyAfterCrash } = scene;
    const delta = { vm: 'both', snapshot: 'one' };
    const disks = ['vda', 'vdb'];
    await Promise.all(disks.map((disk) => merged(system, { ...delta, disk })));
    expect(await snapshotTree('both')).toEqual({ parents: { more: null }, current: 'more' });
    const xml = await snapshotXml('both', 'more');
    for (const disk of disks) expect(xml).not.toContain(`both-one-${disk}`);
    const kept = ['both.qcow2', 'both-data.qcow2', 'both-more-vda', 'both-more-vdb'];
    await expectLeftClean(scene, kept);
    await verifyAfterCrash();
  });
});
