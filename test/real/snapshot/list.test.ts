/** The snapshots of a VM as they are shown: in libvirt, and on storage. */
import { rm } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import { commandLine, environmentOf, type Typed } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';
import { layerOf, startThreeDisks, takeSnapshot } from '../../support/guest/disks/three-disks.ts';
import { defineChain } from '../../support/guest/shut-off-vm.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { takeExternalSnapshot } from '../../support/guest/disks/snapshots.ts';
import { use, useEach } from '../../support/use.ts';

const system = useSystem();
const blockflow = use('the client', () => connectTo(system));
const forTest = useEach();
let typed: Typed;
beforeAll(() => void (typed = commandLine(environmentOf(system))));

describe('the list of the snapshots of a VM', () => {
  it('shows the tree with disks and sizes, and which deletion is not complete', async () => {
    const scene = await forTest(
      startThreeDisks({ system, vm: 'web1', snapshots: ['first', 'second'] }),
    );
    await takeSnapshot(scene, 'third', ['vdb']);
    const tree = await blockflow.snapshots('web1');
    expect(tree).toMatchObject({ vm: { name: 'web1', state: 'running' }, faults: [] });
    expect(tree.snapshots).toMatchObject([
      { name: 'first', parent: null, kind: 'external', memory: 'no', isCurrent: false, faults: [] },
      { name: 'second', parent: 'first', isCurrent: false, faults: [] },
      { name: 'third', parent: 'second', isCurrent: true, faults: [] },
    ]);
    const [first, , third] = tree.snapshots;
    expect(first?.disks.map(({ disk, layer, found }) => [disk, layer, found])).toEqual(
      ['vda', 'vdb', 'vdc'].map((disk) => [disk, layerOf(scene, 'first', disk), 'in chain']),
    );
    expect(third?.disks.map(({ disk, kind }) => [disk, kind])).toEqual([
      ['vda', 'no'],
      ['vdb', 'external'],
      ['vdc', 'no'],
    ]);
    expect(first?.allocatedBytes).toBeGreaterThan(0);
    expect(Date.now() - Date.parse(first?.takenAt ?? '')).toBeLessThan(300_000);
    expect([tree.unnamedLayers, tree.unlistedInternal]).toEqual([[], []]);

    await merged(system, { vm: 'web1', disk: 'vdb', snapshot: 'first' });
    const fault = 'its deletion is not complete: vdb merged, left is vda, vdc; ';
    await says(
      typed('snapshot', 'list', 'web1'),
      0,
      /^web1 on h1: running \(booted\), 3 snapshots\n/,
      /^first +\d\S+ \S+ +external +\d\S+ \wiB +vda vdc$/m,
      /^ {3}└─ third .* current +vdb$/m,
      `wrong  first: ${fault}\`blockflow snapshot delete web1 first\` goes on`,
    );
  });

  it('tells what only storage has, and what only libvirt has', async () => {
    const pool = system.host.pools;
    const { chain } = await defineChain(system.host, 'off', `${pool}/images`, 2);
    expect((await blockflow.snapshots('off')).snapshots).toEqual([]);
    await execa('qemu-img', ['snapshot', '-c', 'inside', chain[1] ?? '']);
    const file = `${pool}/images/off-2.qcow2`;
    await takeExternalSnapshot(system.host, 'off', { disk: 'vdb', file, name: 's' });
    const tree = await blockflow.snapshots('off');
    expect(tree.unnamedLayers).toMatchObject([{ disk: 'vdb', path: chain[1] }]);
    const inside = { disk: 'vdb', path: chain[1], id: '1', name: 'inside' };
    expect(tree.unlistedInternal).toMatchObject([inside]);
    const age = Date.now() - Date.parse(tree.unlistedInternal[0]?.takenAt ?? '');
    expect(age).toBeLessThan(300_000);
    await rm(file);
    const broken = await blockflow.snapshots('off');
    expect(broken.faults).toEqual([expect.stringContaining(`vdb: ${file}, the active layer`)]);
    expect(broken.snapshots[0]?.faults).toEqual([`its layer of vdb, ${file}, does not exist`]);
    await says(typed('snapshot', 'list', 'absent'), 3, 'unknown-vm');
    await says(typed('snapshot', 'list', 'a/b'), 2, 'is not a VM name');
  });

  it('tells internal ones by the id in each image, also what does not fit', async () => {
    const pool = system.host.pools;
    const { chain } = await defineChain(system.host, 'in', `${pool}/images`, 1);
    const [file = ''] = chain;
    const disk = `${system.host.root}/in-system.qcow2`;
    await execa('qemu-img', ['snapshot', '-c', 'before', file]);
    await system.host.virsh('snapshot-create-as', 'in', 's1');
    await system.host.virsh('snapshot-create-as', 'in', 's2');
    const { snapshots, unlistedInternal } = await blockflow.snapshots('in');
    const inside = (path: string, id: string) => ({ kind: 'internal', inside: [{ path, id }] });
    expect(snapshots).toMatchObject([
      { name: 's1', kind: 'internal', disks: [inside(disk, '1'), inside(file, '2')], faults: [] },
      { name: 's2', parent: 's1', disks: [inside(disk, '2'), inside(file, '3')], faults: [] },
    ]);
    expect(unlistedInternal).toMatchObject([{ disk: 'vdb', id: '1', name: 'before' }]);
    await execa('qemu-img', ['snapshot', '-d', 's1', disk]);
    await execa('qemu-img', ['snapshot', '-c', 's2', file]);
    await says(
      typed('snapshot', 'list', 'in'),
      0,
      /^s1 +\d\S+ \S+ +internal +0 B +vda vdb \(id 2\)$/m,
      /^└─ s2 .* current +vda \(id 2\) vdb \(id 3, 4\)$/m,
      'wrong  s1: no image in the chain of vda has it inside\n',
      'wrong  s1: only some disks have it: `blockflow snapshot delete in s1` deletes the rest\n',
      'wrong  s2: vdb has 2 of that name inside: id 3, id 4\n',
      /^note {3}vdb: \S+ holds internal snapshot before \(id 1, \d.*\), which /m,
    );
  });
});
