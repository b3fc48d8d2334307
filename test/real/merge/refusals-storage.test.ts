import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { OWN_FOLDER } from '../../../activities/pool-folder/own-folder.ts';
import type { FailureCode } from '../../../workflows/operation/failures.ts';
import { expectRefused, merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { mountOwn } from '../../support/host/own-mount.ts';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use } from '../../support/use.ts';

let tiny: string;
const mount = use('the mount', () => mountOwn('tmpfs', 2));
const system = useSystem();
beforeAll(() => {
  tiny = mount.path;
});

const inPool = (name: string) => join(system.host.pools, POOL, name);

/** A chain of two volumes in the pool: the paths of base and top. */
async function createChain(name: string): Promise<[string, string]> {
  const base = await createImage(inPool(`${name}.qcow2`));
  return [base, await createImage(inPool(`${name}-top.qcow2`), { below: base })];
}

/** The merge of vdb is refused, and every file of the pool and of `folders` is what it was. */
async function refuse(vm: string, code: FailureCode, folders: string[] = []): Promise<string> {
  const content = async () => {
    // Agents that have just met a pool leave their names in it.
    const others = `-not -path '*/${OWN_FOLDER}/*'`;
    const hashes = `find "$@" -type f ${others} -exec sha256sum {} +`;
    return (await execa('sh', ['-c', hashes, '', inPool(''), ...folders])).stdout;
  };
  const files = async () => (await content()).split('\n').sort();
  return expectRefused({ system, files }, { vm, disk: 'vdb' }, ['Refused', code]);
}

describe('a merge refused for a guest that is saved', () => {
  it('refuses with managed-save, also once libvirt has forgotten why the VM is off', async () => {
    const [base, top] = await createChain('saved');
    await defineShutOff(system.host, 'saved', diskXml(top));
    await system.host.virsh('start', 'saved');
    await system.host.virsh('managedsave', 'saved');
    expect(await refuse('saved', 'managed-save')).toContain('the state of VM saved is saved');
    await system.host.restart();
    expect(await system.host.virsh('domstate', '--reason', 'saved')).toContain('(unknown)');
    await refuse('saved', 'managed-save');
    await system.host.virsh('managedsave-remove', 'saved');
    const result = await merged(system, { vm: 'saved', disk: 'vdb' });
    expect(result).toMatchObject({ outcome: 'merged', mode: 'cold', chainAfter: [base] });
  });
});

describe('a merge refused for what else uses the volumes', () => {
  it('refuses with shared-base when base has another child, by whatever name', async () => {
    const [base, top] = await createChain('shared');
    await defineShutOff(system.host, 'shared', diskXml(top));
    const links = join(system.host.root, 'links');
    await mkdir(links);
    await execa('ln', [base, join(links, 'hard.qcow2')]);
    const child = inPool('shared-child.qcow2');
    for (const below of [base, `file:${base}`, 'shared.qcow2', join(links, 'hard.qcow2')]) {
      await createImage(child, { below });
      expect(await refuse('shared', 'shared-base')).toContain(child);
      await rm(child);
    }
  });

  it('refuses with volume-in-use when a VM that is shut off names base', async () => {
    const [base, top] = await createChain('used');
    await defineShutOff(system.host, 'used', diskXml(top));
    await defineShutOff(system.host, 'user', diskXml(base));
    expect(await refuse('used', 'volume-in-use')).toContain('VM user');
  });

  it('refuses with volume-in-use when a VM names base as a volume of its pool', async () => {
    const [base, top] = await createChain('volume');
    await defineShutOff(system.host, 'volume', diskXml(top));
    const named = diskXml(base)
      .replace("type='file'", "type='volume'")
      .replace(/<source [^>]*>/, `<source pool='${POOL}' volume='${basename(base)}'/>`);
    await defineShutOff(system.host, 'by-volume', named);
    expect(await refuse('volume', 'volume-in-use')).toContain('VM by-volume');
    // Also of a pool that is not active: it has no volumes, but it has a folder.
    const link = join(system.host.root, 'images-by-link');
    await symlink(dirname(base), link);
    await system.host.virsh('pool-define-as', 'asleep', 'dir', '--target', link);
    await system.host.virsh('undefine', 'by-volume');
    await defineShutOff(system.host, 'by-link', named.replace(POOL, 'asleep'));
    expect(await refuse('volume', 'volume-in-use')).toContain('VM by-link');
  });

  it('refuses with volume-in-use when a VM has a layer over base in no pool', async () => {
    const [base, top] = await createChain('lent');
    await defineShutOff(system.host, 'lent', diskXml(top));
    const layer = await createImage(join(system.host.root, 'layer.qcow2'), { below: base });
    await defineShutOff(system.host, 'borrower', diskXml(layer));
    expect(await refuse('lent', 'volume-in-use')).toContain('VM borrower');
  });

  it('refuses with volume-in-use when another VM runs with base', async () => {
    const [base, top] = await createChain('read');
    await defineShutOff(system.host, 'read', diskXml(top));
    await defineShutOff(system.host, 'reader', diskXml(base, 'qcow2', '<readonly/>'));
    await system.host.virsh('start', 'reader');
    expect(await refuse('read', 'volume-in-use')).toContain('VM reader');
  });
});

describe('a merge refused for where the volumes are', () => {
  it('refuses with outside-pools what lies in no pool', async () => {
    const folder = join(system.host.root, 'outside');
    await mkdir(folder);
    const base = await createImage(join(folder, 'base.qcow2'));
    const top = await createImage(join(folder, 'top.qcow2'), { below: base });
    await defineShutOff(system.host, 'outside', diskXml(top));
    expect(await refuse('outside', 'outside-pools', [folder])).toContain('no active storage pool');
  });

  it('refuses with unsupported-pool what lies in a pool that is no folder of files', async () => {
    const folder = join(system.host.root, 'multipath');
    await mkdir(folder);
    const base = await createImage(join(folder, 'base.qcow2'));
    const top = await createImage(join(folder, 'top.qcow2'), { below: base });
    await defineShutOff(system.host, 'multipath', diskXml(top));
    const file = join(system.host.root, 'multipath-pool.xml');
    const target = `<target><path>${folder}</path></target>`;
    await writeFile(file, `<pool type='mpath'><name>multipath</name>${target}</pool>`);
    await system.host.virsh('pool-define', file);
    await system.host.virsh('pool-start', 'multipath');
    expect(await refuse('multipath', 'unsupported-pool', [folder])).toContain('type mpath');
    await system.host.virsh('pool-destroy', 'multipath');
  });

  it('refuses with not-enough-space what no emptying of the file system makes fit', async () => {
    await system.host.definePool('tiny', tiny);
    const base = await createImage(join(tiny, 'base.qcow2'));
    const top = await createImage(inPool('large-top.qcow2'), { below: base });
    await execa('qemu-io', ['-f', 'qcow2', '-c', 'write -q 0 6M', top]);
    await defineShutOff(system.host, 'large', diskXml(top));
    const now = await refuse('large', 'not-enough-space', [tiny]);
    expect(now).toContain('its whole file system has 2.0 MiB');
  });
});

describe('a merge refused for what the volumes are', () => {
  it('refuses with internal-snapshots what deletion would lose', async () => {
    const [, top] = await createChain('inside');
    await execa('qemu-img', ['snapshot', '-c', 'before the upgrade', top]);
    await defineShutOff(system.host, 'inside', diskXml(top));
    expect(await refuse('inside', 'internal-snapshots')).toContain('before the upgrade');
  });

  it('refuses with read-only-disk a disk that the VM may not write', async () => {
    const [, top] = await createChain('readonly');
    await defineShutOff(system.host, 'readonly', diskXml(top, 'qcow2', '<readonly/>'));
    await refuse('readonly', 'read-only-disk');
  });

  it('refuses with transient-disk a disk whose overlay libvirt discards', async () => {
    const [, top] = await createChain('transient');
    await defineShutOff(system.host, 'transient', diskXml(top, 'qcow2', '<transient/>'));
    await refuse('transient', 'transient-disk');
  });

  it('refuses with unsupported-format a vmdk, a data file, and no backing format', async () => {
    const data = inPool('data.raw');
    const [, formatless] = await createChain('formatless');
    await hideBackingFormat(formatless);
    const disks: [string, string, RegExp][] = [
      ['vmdk', diskXml(await createImage(inPool('a.vmdk'), { format: 'vmdk' }), 'vmdk'), /vmdk/],
      ['data', diskXml(await createWithData(data)), /external file/],
      ['formatless', diskXml(formatless), /backing format \(none\)/],
    ];
    for (const [vm, disk, words] of disks) {
      await defineShutOff(system.host, vm, disk);
      expect(await refuse(vm, 'unsupported-format')).toMatch(words);
    }
  });

  it('refuses with unsupported-format a CD-ROM and a network disk', async () => {
    const target = "<target dev='vdb' bus='virtio'/>";
    const network = `<source protocol='nbd' name='x'><host name='127.0.0.1' port='9'/></source>`;
    const disks: [string, string, RegExp][] = [
      ['cd', diskXml(inPool('a.iso'), 'raw').replace("device='disk'", "device='cdrom'"), /cdrom/],
      ['nbd', `<disk type='network' device='disk'>${network}${target}</disk>`, /type network/],
    ];
    for (const [vm, disk, words] of disks) {
      await defineShutOff(system.host, vm, disk.replace(/(cdrom[^]*)virtio/, '$1sata'));
      expect(await refuse(vm, 'unsupported-format')).toMatch(words);
    }
  });
});

async function createWithData(data: string): Promise<string> {
  return createImage(inPool('with-data.qcow2'), { options: `data_file=${data}` });
}

/**
 * What QEMU before 6.1 made without `-F`: the header extension with the backing format becomes an
 * unknown one.
 */
async function hideBackingFormat(path: string): Promise<void> {
  const image = await readFile(path);
  image.writeUInt32BE(0x12345678, image.indexOf(Buffer.from('e2792aca', 'hex')));
  await writeFile(path, image);
}
