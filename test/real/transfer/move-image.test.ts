import { execa } from 'execa';
import { copyFile, mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { POOL, startScene } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  copiers,
  digests,
  diskOf,
  expectBoots,
  defineOff,
  inVault,
  recordOf,
  removalOf,
  startMove,
  startMoveSystem,
  startOffScene,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { addLayer, backingName } from '../../support/guest/disks/relative-chain.ts';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

const system = useSystem(() => startMoveSystem({ name: 'move' }));
const forTest = useEach();

const MIB = 2 ** 20;
const images = () => join(system.host.pools, POOL);
const moved = async (image: Parameters<typeof startMove>[1]['image']) => {
  const result = await (await startMove(system, { image })).result();
  expect(result).toMatchObject({ outcome: 'moved', verified: true, warnings: [] });
  expect(await removalOf(system, result)).toMatchObject({ outcome: 'removed' });
  expect(await copiers(system)).toEqual([]);
  return result;
};

describe('MoveImage of a VM disk', () => {
  it('moves a chain of three with its snapshots, and the VM boots from the target', async () => {
    const scene = await forTest(startOffScene(system, { vm: 'three', guest: SMALL }));
    const { chain } = scene;
    const targets = chain.map((file) => inVault(system, file));
    const before = await contents(chain);
    const result = await moved(diskOf('three'));
    expect(result).toMatchObject({ chainBefore: chain, chainAfter: targets });
    expect(await recordOf(system, 'three')).toBe(targets[2]);
    expect(await poolFiles(images())).toEqual([]);
    const names = ['three-snap1.qcow2', 'three-snap2.qcow2', 'three.qcow2'];
    expect(await poolFiles(dirname(targets[0] as string))).toEqual(names);
    expect(await contents(targets)).toEqual(before);
    expect(await backingName(targets[2] as string)).toBe(targets[1]);
    for (const name of ['s1', 's2']) {
      const xml = await system.host.virsh('snapshot-dumpxml', 'three', name);
      expect(xml).not.toContain(images());
    }
    const list = await system.host.virsh('snapshot-list', 'three', '--name', '--topological');
    expect(list.trim().split('\n')).toEqual(['s1', 's2']);
    expect((await system.host.virsh('snapshot-current', 'three', '--name')).trim()).toBe('s2');
    await expectBoots(scene);
  });

  it.each([
    ['dash', '-a.qcow2'],
    ['dot', '.a.qcow2'],
    ['long', `${'n'.repeat(238)}.qcow2`],
  ])('deletes the source whatever its name: %s', async (vm, name) => {
    const file = await createImage(join(images(), name));
    await defineShutOff(system.host, vm, diskXml(file));
    const { chainAfter, removal, jobId } = await moved({ kind: 'disk', vm, disk: 'vdb' });
    expect(chainAfter).toEqual([inVault(system, name)]);
    expect(removal).toBe(`${POOL}/${name}/removal/${jobId}`);
    expect(await readdir(images())).not.toContain(name);
  });

  it('leaves relative backing names relative, corrects those that lead back', async () => {
    const scene = await forTest(startScene({ system, vm: 'rel', layers: 0, guest: SMALL }));
    const file = (n: number) => join(images(), `rel-${n}.qcow2`);
    await addLayer(system.host, 'rel', { file: file(1), below: 'rel.qcow2' });
    await addLayer(system.host, 'rel', { file: file(2), below: `../${POOL}/rel-1.qcow2` });
    await scene.guest.waitForAcks(17);
    await scene.guest.kill();
    const chain = [...scene.chain, file(1), file(2)];
    const before = await digests(chain.slice(0, 2));
    await moved(diskOf('rel'));
    const targets = chain.map((path) => inVault(system, path));
    expect(await digests(targets.slice(0, 2))).toEqual(before);
    expect(await backingName(targets[1] as string)).toBe('rel.qcow2');
    expect(await backingName(targets[2] as string)).toBe('rel-1.qcow2');
    await expectBoots(scene);
  });

  it('moves a raw image', async () => {
    const scene = await forTest(
      startScene({ system, vm: 'flat', layers: 0, format: 'raw', guest: SMALL }),
    );
    await scene.guest.kill();
    const before = await digests(scene.chain);
    await moved(diskOf('flat'));
    expect(await digests([inVault(system, 'flat.raw')])).toEqual(before);
    await expectBoots(scene);
  });

  it('moves a raw image whose guest wrote a qcow2 header naming a host file as it is', async () => {
    const secret = join(system.host.root, 'secret');
    await writeFile(secret, 'a secret of the host'.padEnd(512));
    const file = await defineOff(system, 'forged', { format: 'raw' });
    const forged = join(system.host.root, 'forged.qcow2');
    await execa('qemu-img', ['create', '-f', 'qcow2', '-F', 'raw', '-b', secret, forged, '1M']);
    await copyFile(forged, file);
    const before = await digests([file]);
    const result = await moved(diskOf('forged'));
    expect(result.chainBefore).toEqual([file]);
    expect(await digests([inVault(system, file)])).toEqual(before);
    expect(await system.host.virsh('dumpxml', 'forged', '--inactive')).toContain("type='raw'");
    expect(await readFile(secret, 'utf8')).toContain('a secret');
  });
});

/** All that `qemu-img info` says of the container, but for its name and its blocks. */
async function infoOf(file: string, format: string): Promise<unknown> {
  const { stdout } = await execa('qemu-img', ['info', '-f', format, '--output=json', file]);
  // QEMU 10 names the file once more, as a child.
  const { filename, children, ...said } = JSON.parse(stdout) as Record<string, unknown>;
  const { 'actual-size': size, ...info } = said;
  expect([filename, typeof size]).toEqual([file, 'number']);
  return info;
}

describe('MoveImage of a standalone image', () => {
  it.each([
    ['raw', 'raw', []],
    ['qcow2', 'qcow2', ['-o', 'compat=1.1']],
    ['old', 'qcow2', ['-o', 'compat=0.10']],
  ] as const)('leaves the holes of a sparse one: %s', async (name, format, options) => {
    await mkdir(images(), { recursive: true });
    const file = join(images(), `holes-${name}.${format}`);
    await execa('qemu-img', ['create', '-f', format, ...options, file, '32M']);
    const commands = ['-c', 'write -P 7 0 24M', '-c', 'discard 1M 22M'];
    await execa('qemu-io', ['-f', format, '-d', 'unmap', ...commands, file]);
    await execa('sync', [file]);
    const facts = await stat(file);
    expect(facts.blocks * 512).toBeLessThan(facts.size / 4);
    const before = [await digests([file]), await infoOf(file, format)];
    await moved({ kind: 'volume', pool: POOL, volume: basename(file), format });
    const target = inVault(system, file);
    expect([await digests([target]), await infoOf(target, format)]).toEqual(before);
    // A file system may need a block more to tell where the holes are.
    expect((await stat(target)).blocks * 512).toBeLessThan(facts.blocks * 512 + MIB / 4);
  });

  it('keeps internal snapshots and bitmaps of a file of an odd length', async () => {
    await mkdir(images(), { recursive: true });
    const file = join(images(), 'odd.qcow2');
    await execa('qemu-img', ['create', '-f', 'qcow2', '-o', 'cluster_size=4096', file, '8M']);
    await execa('qemu-io', ['-f', 'qcow2', '-c', 'write -P 3 0 1M', file]);
    await execa('qemu-img', ['snapshot', '-c', 'inside', file]);
    await execa('qemu-img', ['bitmap', '--add', '-f', 'qcow2', file, 'dirty']);
    const { size } = await stat(file);
    await truncate(file, size + 1001);
    const before = await digests([file]);
    const image = { kind: 'volume', pool: POOL, volume: 'odd.qcow2', format: 'qcow2' } as const;
    await moved(image);
    const target = inVault(system, file);
    expect(await digests([target])).toEqual(before);
    const { stdout } = await execa('qemu-img', ['info', '-f', 'qcow2', target]);
    expect(stdout).toContain('inside');
    expect(stdout).toContain('name: dirty');
    expect(await poolFiles(images())).not.toContain('odd.qcow2');
  });
});
