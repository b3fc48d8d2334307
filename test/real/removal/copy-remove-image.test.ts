import { execa } from 'execa';
import { open, rm, stat, symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { isUnlocked } from '../../../activities/adapters/qemu-img/qemu-img.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { armFault } from '../../support/faults/faults.ts';
import { SMALL } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  copiers,
  defineOff,
  digests,
  diskOf,
  inVault,
  startCopy,
  startMoveSystem,
  startOffScene,
  startRemoval,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { backingName } from '../../support/guest/disks/relative-chain.ts';
import { defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'copies' }));

const images = () => join(system.host.pools, POOL);
const create = (...args: string[]) => execa('qemu-img', ['create', '-q', '-f', 'qcow2', ...args]);
const remove = async (volume: string, wipe = false, format: 'qcow2' | 'raw' = 'qcow2') =>
  startRemoval(system, { pool: POOL, volume, format, wipe });
async function refusal(volume: string, format?: 'raw'): Promise<string | undefined> {
  const error = await (await remove(volume, false, format)).result().then(
    () => undefined,
    (e: unknown) => e,
  );
  return failureDetails(error)?.details.code;
}

describe('CopyImage', () => {
  it('leaves source and record untouched, and names each volume of the copy', async () => {
    const scene = await startOffScene(system, { vm: 'src', guest: SMALL });
    const { chain } = scene;
    const [bytes, data] = [await digests(chain), await contents(chain)];
    const facts = await Promise.all(chain.map((file) => stat(file)));
    const xml = await system.host.virsh('dumpxml', 'src', '--inactive');
    const snapshot = await system.host.virsh('snapshot-dumpxml', 'src', 's1');
    const copy = await startCopy(system, { image: diskOf('src'), to: VAULT, name: 'clone' });
    const result = await copy.result();
    const names = ['clone.1.qcow2', 'clone.2.qcow2', 'clone.qcow2'];
    const copies = names.map((name) => inVault(system, name));
    expect(result).toMatchObject({ outcome: 'copied', chainAfter: copies, removal: null });
    expect(await digests(chain)).toEqual(bytes);
    expect((await Promise.all(chain.map((file) => stat(file)))).map((s) => s.mtimeMs)).toEqual(
      facts.map((s) => s.mtimeMs),
    );
    expect(await system.host.virsh('dumpxml', 'src', '--inactive')).toBe(xml);
    expect(await system.host.virsh('snapshot-dumpxml', 'src', 's1')).toBe(snapshot);
    expect(await contents(copies)).toEqual(data);
    expect(await backingName(copies[2] as string)).toBe(copies[1]);
    expect(await backingName(copies[1] as string)).toBe(copies[0]);
    expect(await poolFiles(inVault(system, ''))).toEqual(names);
    expect(await copiers(system)).toEqual([]);
  });

  it('copies within one pool under another name', async () => {
    await create(join(images(), 'one.qcow2'), '1M');
    const image = { kind: 'volume', pool: POOL, volume: 'one.qcow2', format: 'qcow2' } as const;
    const copy = await startCopy(system, { image, to: POOL, name: 'two' });
    expect(await copy.result()).toMatchObject({ chainAfter: [join(images(), 'two.qcow2')] });
    expect(await poolFiles(images())).toEqual(expect.arrayContaining(['one.qcow2', 'two.qcow2']));
  });
});

describe('RemoveImage', () => {
  it('is refused while a domain, a snapshot, another chain or a process refers to it', async () => {
    await defineOff(system, 'user');
    expect(await refusal('user.qcow2')).toBe('volume-in-use');
    const base = join(images(), 'base.qcow2');
    await create(base, '1M');
    await create('-F', 'qcow2', '-b', base, join(images(), 'over.qcow2'));
    expect(await refusal('base.qcow2')).toBe('shared-base');
    const data = `data_file=${join(images(), 'data.raw')}`;
    await create('-o', data, join(images(), 'outside.qcow2'), '1M');
    expect(await refusal('data.raw', 'raw')).toBe('shared-base');
    const over = join(images(), 'over.qcow2');
    const reader = execa('qemu-io', ['-r', '-f', 'qcow2', over], { stdin: 'pipe', reject: false });
    await waitUntil('qemu-io to open it', async () => !(await isUnlocked(over)));
    expect(await refusal('over.qcow2')).toBe('volume-in-use');
    reader.kill();
    await reader;
    await startOffScene(system, { vm: 'kept', layers: 1, guest: SMALL });
    await system.host.virsh('detach-disk', 'kept', 'vda', '--config');
    expect(await refusal('kept-snap1.qcow2')).toBe('volume-in-use');
    expect(await poolFiles(images())).toEqual(
      expect.arrayContaining(['base.qcow2', 'kept-snap1.qcow2', 'over.qcow2', 'user.qcow2']),
    );
  });

  it('is refused while a program without image locks has it open, or a loop device', async () => {
    const file = join(images(), 'backed-up.raw');
    await execa('truncate', ['--size', '1M', file]);
    const reader = execa('sleep', ['infinity'], { stdin: { file }, reject: false });
    expect(await refusal('backed-up.raw', 'raw')).toBe('volume-in-use');
    reader.kill();
    await reader;
    const { stdout: device } = await execa('losetup', ['--find', '--show', file]);
    expect(await refusal('backed-up.raw', 'raw')).toBe('volume-in-use');
    await execa('losetup', ['--detach', device]);
    const removed = await (await remove('backed-up.raw', false, 'raw')).result();
    expect(removed).toMatchObject({ deleted: [file] });
  });

  it('is refused while a snapshot names it as a volume of a pool that is not active', async () => {
    const file = join(images(), 'by-volume.qcow2');
    await create(file, '1M');
    const link = join(system.host.root, 'by-link');
    await symlink(images(), link);
    await system.host.virsh('pool-define-as', 'asleep', 'dir', '--target', link);
    const source = `<source pool='asleep' volume='by-volume.qcow2'/>`;
    const disk = diskXml(file).replace("type='file'", "type='volume'");
    await defineShutOff(system.host, 'keeper', disk.replace(/<source [^>]*>/, source));
    expect(await refusal('by-volume.qcow2')).toBe('volume-in-use');
    const snapshot = ['snapshot-create-as', 'keeper', 's1', '--disk-only', '--diskspec'];
    await system.host.virsh(...snapshot, 'vda,snapshot=external', '--diskspec', 'vdb,snapshot=no');
    await system.host.virsh('detach-disk', 'keeper', 'vdb', '--config');
    expect(await system.host.virsh('snapshot-dumpxml', 'keeper', 's1')).toContain("pool='asleep'");
    expect(await refusal('by-volume.qcow2')).toBe('volume-in-use');
  });

  it('is refused while a saved guest would go on with it', async () => {
    const file = join(images(), 'dreamt.qcow2');
    await create(file, '1M');
    await defineShutOff(system.host, 'dreamer', diskXml(file));
    for (const command of ['start', 'managedsave']) await system.host.virsh(command, 'dreamer');
    await system.host.virsh('detach-disk', 'dreamer', 'vdb', '--config');
    expect(await system.host.virsh('dumpxml', 'dreamer')).not.toContain(file);
    expect(await refusal('dreamt.qcow2')).toBe('volume-in-use');
    await truncate(join(system.host.root, 'lib/qemu/save/dreamer.save'), 10);
    expect(await refusal('dreamt.qcow2')).toBe('unproven');
    await system.host.virsh('managedsave-remove', 'dreamer');
    expect(await (await remove('dreamt.qcow2')).result()).toMatchObject({ deleted: [file] });
  });

  it('leaves what others need below it, as a clone its template, and says so', async () => {
    const [ground, base, top, other] = ['ground', 'template', 'clone', 'other'].map((name) =>
      join(images(), `${name}.qcow2`),
    ) as [string, string, string, string];
    await create(ground, '1M');
    for (const [below, above] of [
      [ground, base],
      [base, top],
      [base, other],
    ] as const) {
      await create('-F', 'qcow2', '-b', below, above);
    }
    await defineShutOff(system.host, 'cloned', diskXml(other));
    const result = await (await remove('clone.qcow2')).result();
    expect(result).toMatchObject({ deleted: [top] });
    expect(result.warnings).toEqual([
      expect.stringMatching(/ground\.qcow2 and 1 above it stays: .*template\.qcow2 is used by /),
    ]);
    expect(await poolFiles(images())).toEqual(
      expect.arrayContaining(['ground.qcow2', 'other.qcow2', 'template.qcow2']),
    );
    expect(await refusal('other.qcow2')).toBe('volume-in-use');
    await system.host.virsh('undefine', 'cloned');
    expect(await (await remove('other.qcow2')).result()).toMatchObject({
      deleted: [ground, base, other],
      warnings: [],
    });
  });

  it('removes an unused chain', async () => {
    const base = join(images(), 'old.qcow2');
    await create(base, '1M');
    await create('-F', 'qcow2', '-b', base, join(images(), 'old-1.qcow2'));
    const removed = await (await remove('old-1.qcow2')).result();
    expect(removed).toMatchObject({
      outcome: 'removed',
      deleted: [base, join(images(), 'old-1.qcow2')],
    });
    expect(await poolFiles(images())).not.toContain('old.qcow2');
  });

  it('is refused for a chain whose backing file is gone', async () => {
    const base = join(images(), 'lost.qcow2');
    await create(base, '1M');
    await create('-F', 'qcow2', '-b', base, join(images(), 'lost-1.qcow2'));
    await rm(base);
    expect(await refusal('lost-1.qcow2')).toBe('broken-chain');
    expect(await poolFiles(images())).toContain('lost-1.qcow2');
  });

  it('overwrites what was written before it deletes with --wipe', async () => {
    const file = join(images(), 'wiped.qcow2');
    await create(file, '64M');
    await execa('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0x5a 1M 3M', file]);
    armFault(system.trace, { effect: 'storage.wipe-volume', action: 'stop-after' });
    const before = await stat(file);
    const removal = await remove('wiped.qcow2', true);
    await system.roleStopped('spm');
    const hidden = (await poolFiles(images())).find((name) => name.endsWith('-wiped.qcow2'));
    // What is open can be read after its last name has gone.
    const opened = await open(join(images(), hidden ?? ''));
    system.signalRole('spm', 'SIGCONT');
    expect(await removal.result()).toMatchObject({ wiped: true });
    const bytes = await opened.readFile();
    expect(bytes.length).toBe(before.size);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    // Holes stay holes: a wipe takes no space.
    expect((await opened.stat()).blocks).toBe(before.blocks);
    await opened.close();
  });
});
