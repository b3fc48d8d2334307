/** A copy in another format: a guest reads the same in it, and the record names the format. */
import { copyFile, mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { moveImageInput } from '../../../workflows/transfer/request.ts';
import type { ImageRef } from '../../../workflows/chain/references.ts';
import type { TransferResult } from '../../../workflows/transfer/kind.ts';
import { createGuestDisk } from '../../support/guest/disks/guest-disk.ts';
import { defineGuest } from '../../support/guest/guest.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { POOL, startScene } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  copiers,
  defineOff,
  diskOf,
  expectBoots,
  expectNothingLeft,
  inVault,
  plainVolume,
  recordOf,
  removalOf,
  startCopy,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { takeExternalSnapshot } from '../../support/guest/disks/snapshots.ts';
import { HOST } from '../../support/host/system.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

const system = useSystem(() => startMoveSystem({ name: 'format' }));
const forTest = useEach();
beforeAll(() => mkdir(images(), { recursive: true }));

const MIB = 2 ** 20;
const images = () => join(system.host.pools, POOL);
const vault = (name: string) => inVault(system, name);
type Request = Parameters<typeof startMove>[1];

async function moved(request: Request): Promise<TransferResult> {
  const result = await (await startMove(system, request)).result();
  expect(result).toMatchObject({ outcome: 'moved', verified: true, warnings: [] });
  expect(await removalOf(system, result)).toMatchObject({ outcome: 'removed' });
  expect(await copiers(system)).toEqual([]);
  return result;
}

const xmlOf = (vm: string) => system.host.virsh('dumpxml', vm, '--inactive');
const info = async (file: string, format: string) => {
  const args = ['info', '-f', format, '--output=json', file];
  const { stdout } = await execa('qemu-img', args);
  return JSON.parse(stdout) as Record<string, unknown>;
};
const allocated = async (file: string) => (await stat(file)).blocks * 512;

describe.each([
  ['qcow2', 'raw'],
  ['raw', 'qcow2'],
] as const)('MoveImage of %s to %s', (from, to) => {
  it('boots from the target with every write, and the record names the format', async () => {
    const vm = `boots-${to}`;
    const scene = await forTest(startScene({ system, vm, layers: 0, format: from, guest: SMALL }));
    await scene.guest.kill();
    const before = await contents(scene.chain, [from]);
    const result = await moved({ image: diskOf(vm), format: to });
    const target = vault(`${vm}.${to}`);
    expect(result.chainAfter).toEqual([target]);
    expect(await recordOf(system, vm)).toBe(target);
    expect(await xmlOf(vm)).toMatch(new RegExp(`<driver [^>]*type='${to}'`));
    expect(await contents([target], [to])).toEqual(before);
    expect(await poolFiles(images())).not.toContain(`${vm}.${from}`);
    await expectBoots(scene);
  });
});

describe('MoveImage to another format', () => {
  it("takes the format into libvirt's snapshots that name the disk", async () => {
    const virtualSizeBytes = 64 * MIB;
    const options = { format: 'qcow2', slots: 16, virtualSizeBytes } as const;
    const disk = await createGuestDisk(join(images(), 'two.qcow2'), options);
    const other = join(images(), 'other.qcow2');
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', other, '1M']);
    const moreDevices = `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='${other}'/><target dev='vdb' bus='virtio'/></disk>`;
    await defineGuest(system.host, { name: 'two', disk, moreDevices });
    const overlay = join(images(), 'other-1.qcow2');
    await system.host.virsh(
      ...['snapshot-create-as', 'two', 's1', '--disk-only', '--atomic'],
      ...['--diskspec', 'vda,snapshot=no'],
      ...['--diskspec', `vdb,snapshot=external,file=${overlay}`],
    );
    await moved({ image: diskOf('two'), format: 'raw' });
    const xml = await system.host.virsh('snapshot-dumpxml', 'two', 's1');
    const element = xml.split('<disk ').find((part) => part.includes(vault('two.raw'))) ?? '';
    expect(element).toMatch(/<driver [^>]*type='raw'/);
    expect(xml).not.toContain('two.qcow2');
    expect(xml.split('<disk ').find((part) => part.includes(other))).toContain("type='qcow2'");
    await system.host.virsh('start', 'two');
    await system.host.virsh('destroy', 'two');
  });

  it('keeps as data what a guest wrote, also a qcow2 header that names a host file', async () => {
    const secret = join(system.host.root, 'secret');
    await writeFile(secret, 'a secret of the host'.padEnd(512));
    const forged = join(system.host.root, 'forged.qcow2');
    await execa('qemu-img', ['create', '-f', 'qcow2', '-F', 'raw', '-b', secret, forged, '1M']);
    const file = await defineOff(system, 'forged', { format: 'raw' });
    await copyFile(forged, file);
    const before = await contents([file], ['raw']);
    await moved({ image: diskOf('forged'), format: 'qcow2' });
    expect(await info(vault('forged.qcow2'), 'qcow2')).not.toHaveProperty('backing-filename');
    expect(await contents([vault('forged.qcow2')])).toEqual(before);
    // And back: the raw file begins with that header again, and the record says that it is raw.
    await moved({ image: diskOf('forged'), format: 'raw', to: POOL });
    expect(await readFile(file)).toEqual(await padded(forged));
    expect(await xmlOf('forged')).toMatch(/<driver [^>]*type='raw'/);
  });

  it('converts within one pool', async () => {
    const file = await defineOff(system, 'within', { bytes: MIB });
    const before = await contents([file]);
    await moved({ image: diskOf('within'), format: 'raw', to: POOL });
    expect(await recordOf(system, 'within')).toBe(join(images(), 'within.raw'));
    expect(await contents([join(images(), 'within.raw')], ['raw'])).toEqual(before);
    const again = await startMove(system, { image: diskOf('within'), format: 'raw', to: POOL });
    expect(await again.result()).toMatchObject({ outcome: 'already-done' });
  });
});

/** A raw file as a guest sees it: whole sectors. */
async function padded(file: string): Promise<Buffer> {
  const bytes = await readFile(file);
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

describe('CopyImage to another format', () => {
  it.each([
    ['qcow2', 'raw'],
    ['raw', 'qcow2'],
  ] as const)('of %s to %s leaves the source, and takes no space for holes', async (from, to) => {
    const image = await plainVolume(system, `sparse-${to}`, from);
    const source = join(images(), `sparse-${to}.${from}`);
    const before = await stat(source);
    const copy = await startCopy(system, { image, to: VAULT, name: `clone-${to}`, format: to });
    const target = vault(`clone-${to}.${to}`);
    expect(await copy.result()).toMatchObject({ outcome: 'copied', chainAfter: [target] });
    expect(await contents([target], [to])).toEqual(await contents([source], [from]));
    expect((await stat(source)).mtimeMs).toBe(before.mtimeMs);
    expect(await allocated(target)).toBeLessThan(4 * MIB);
  });

  it('of a file that ends within a sector is as long as a guest saw it', async () => {
    const image = await plainVolume(system, 'odd', 'raw');
    const source = join(images(), 'odd.raw');
    await truncate(source, 16 * MIB + 1001);
    const how = { format: 'qcow2', preallocation: 'metadata' } as const;
    await (await startCopy(system, { image, to: VAULT, ...how })).result();
    const target = vault('odd.qcow2');
    expect(await contents([target])).toEqual(await contents([source], ['raw']));
    expect((await info(target, 'qcow2'))['virtual-size']).toBe(16 * MIB + 1024);
  });
});

describe('a copy in another format is refused', () => {
  async function refusal(image: ImageRef, how: Omit<Request, 'image'>) {
    const move = await startMove(system, { image, ...how });
    const failed: unknown = await move.result().catch((error: unknown) => error);
    expect(failureDetails(failed)?.type).toBe('Refused');
    expect(await copiers(system)).toEqual([]);
    return failureDetails(failed)?.details;
  }

  beforeAll(async () => {
    // Not the folder: another one of its name would be another pool.
    for (const name of await poolFiles(vault(''))) await rm(vault(name), { force: true });
  });

  it('several-volumes: of a chain, with the merge as the next step', async () => {
    const file = await defineOff(system, 'chain');
    const overlay = join(images(), 'chain-1.qcow2');
    await takeExternalSnapshot(system.host, 'chain', { file: overlay });
    const details = await refusal(diskOf('chain'), { format: 'raw' });
    expect(details?.code).toBe('several-volumes');
    expect(details?.next).toContain('blockflow merge chain/vda');
    const filled = await refusal(diskOf('chain'), { preallocation: 'falloc' });
    expect(filled?.code).toBe('several-volumes');
    await expectNothingLeft(system, ['chain.qcow2', 'chain-1.qcow2']);
    expect(await recordOf(system, 'chain')).toBe(overlay);
    expect(await info(file, 'qcow2')).not.toHaveProperty('backing-filename');
  });

  it('internal-snapshots and dirty-bitmaps: that would be lost, and `keep` keeps', async () => {
    const inside = await plainVolume(system, 'inside', 'qcow2');
    await execa('qemu-img', ['snapshot', '-c', 'before', join(images(), 'inside.qcow2')]);
    expect((await refusal(inside, { format: 'raw' }))?.code).toBe('internal-snapshots');
    expect((await refusal(inside, { preallocation: 'full' }))?.code).toBe('internal-snapshots');
    const mapped = await plainVolume(system, 'mapped', 'qcow2');
    const bitmap = ['bitmap', '--add', '-f', 'qcow2', join(images(), 'mapped.qcow2'), 'dirty'];
    await execa('qemu-img', bitmap);
    expect((await refusal(mapped, { format: 'raw' }))?.code).toBe('dirty-bitmaps');
    await expectNothingLeft(system, ['inside.qcow2', 'mapped.qcow2']);
    await moved({ image: inside, format: 'qcow2' });
    expect(await info(vault('inside.qcow2'), 'qcow2')).toHaveProperty('snapshots');
    await rm(vault('inside.qcow2'));
  });

  it('invalid-request: a raw image with preallocated metadata', async () => {
    const image = await plainVolume(system, 'meta', 'raw');
    expect((await refusal(image, { preallocation: 'metadata' }))?.code).toBe('invalid-request');
    const wanted = { format: 'raw', preallocation: 'metadata' } as const;
    const other = await plainVolume(system, 'meta2', 'qcow2');
    expect((await refusal(other, wanted))?.code).toBe('invalid-request');
    await expectNothingLeft(system, ['meta.raw', 'meta2.qcow2']);
  });

  it('name-taken: by a file of the name in the new format, which --if-exists keeps', async () => {
    const image = await plainVolume(system, 'taken', 'qcow2');
    await writeFile(vault('taken.raw'), 'not ours');
    const how = { format: 'raw', ifExists: 'refuse' } as const;
    expect((await refusal(image, how))?.code).toBe('name-taken');
    expect(await readFile(vault('taken.raw'), 'utf8')).toBe('not ours');
    await rm(vault('taken.raw'));
    const other = { host: HOST, image, to: VAULT, ifExists: 'overwrite' };
    expect(moveImageInput.safeParse(other).success).toBe(false);
  });
});
