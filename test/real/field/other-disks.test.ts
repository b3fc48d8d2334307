/** Disks that are no files, beside those that are moved or of which a snapshot is taken. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createImage, defineShutOff, diskXml, redefine } from '../../support/guest/shut-off-vm.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import type { Guest } from '../../support/guest/guest.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { revertTo } from '../../support/scenes/revert-scene.ts';
import { deleteSnapshot, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { startDisksMove } from '../../support/scenes/transfer/disks-scene.ts';
import { startMoveSystem } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'other-disks' }));

const besides = (type: string, source: string) => `<disk type='${type}' device='disk'>
  <driver name='qemu' type='raw'/>${source}<target dev='vdc' bus='virtio'/></disk>`;

const NBD = "<source protocol='nbd' name='x'><host name='localhost' port='10809'/></source>";
const NVME = `<source type='pci' managed='no' namespace='1'>
  <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>`;
const VOLUME = "<source pool='none' volume='x'/>";

async function defineBesides(vm: string, more: string): Promise<void> {
  const file = await createImage(join(system.host.pools, POOL, `${vm}.qcow2`));
  await defineShutOff(system.host, vm, diskXml(file) + more);
}

const request = (vm: string) => ({ vm, name: 's1', exclude: ['vda'] });

it.each([
  ['network', NBD],
  ['nvme', NVME],
])('a disk of type %s is left out and told', async (type, source) => {
  const vm = `with-${type}`;
  await defineBesides(vm, besides(type, source));
  const named = { ...request(vm), exclude: [], disks: ['vdb', 'vdc'] };
  expect(await failureOf(takeSnapshot(system, named))).toMatchObject({
    code: 'unsupported-format',
    now: expect.stringMatching(new RegExp(`vdc: .*${type}`)),
    next: expect.stringContaining('leave this one out'),
  });
  const { disks, warnings } = await takeSnapshot(system, request(vm));
  expect(disks.map(({ disk }) => disk)).toEqual(['vdb']);
  expect(warnings.join()).toMatch(new RegExp(`vdc is not part of it: .*${type}`));
  await revertTo(system, { vm, name: 's1' });
  await deleteSnapshot(system, { vm, name: 's1' });
});

it('so is a block device of a VM that runs, and by a move of all disks', async () => {
  const vm = 'with-block';
  const image = join(system.host.root, 'device');
  await writeFile(image, Buffer.alloc(2 ** 20));
  const { stdout: device } = await execa('losetup', ['--find', '--show', image]);
  try {
    await defineBesides(vm, besides('block', `<source dev='${device}'/>`));
    await system.host.virsh('start', vm, '--paused');
    const { warnings } = await takeSnapshot(system, request(vm));
    expect(warnings.join()).toMatch(/vdc is not part of it: .*block/);
    await system.host.virsh('destroy', vm);
    // Its first disk is in no pool.
    await redefine(system.host, vm, (xml) => xml.replace(/<disk.*?<\/disk>/s, ''));
    const move = await startDisksMove({ system, guest: { name: vm } as Guest });
    const { disks } = await move.result();
    expect(disks.map(({ disk }) => disk)).toEqual(['vdb']);
  } finally {
    await execa('losetup', ['--detach', device]);
  }
});

it('a volume whose pool may only be stopped is not left out unasked', async () => {
  const vm = 'with-volume';
  await defineBesides(vm, besides('volume', VOLUME));
  expect(await failureOf(takeSnapshot(system, request(vm)))).toMatchObject({
    code: 'unsupported-format',
    next: expect.stringMatching(/Start its pool.*--exclude vdc/),
  });
  const exclude = ['vda', 'vdc'];
  const { disks } = await takeSnapshot(system, { vm, name: 's1', exclude });
  expect(disks.map(({ disk }) => disk)).toEqual(['vdb']);
});
