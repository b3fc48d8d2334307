import { execa } from 'execa';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { isUnlocked } from '../../../activities/adapters/qemu-img/qemu-img.ts';
import { findPool } from '../../../activities/host/chain/observe-image.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import type { ImageRef } from '../../../workflows/chain/references.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  copiers,
  defineOff,
  diskOf,
  expectNothingLeft,
  inVault,
  recordOf,
  removalOf,
  startCopy,
  startMove,
  startMoveSystem,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startMoveSystem({ name: 'refuse' }));

const images = () => join(system.host.pools, POOL);
const volume = (name: string): ImageRef => ({
  kind: 'volume',
  pool: POOL,
  volume: name,
  format: 'qcow2',
});
const create = (...args: string[]) => execa('qemu-img', ['create', '-q', '-f', 'qcow2', ...args]);

type Operation = Awaited<ReturnType<typeof startMove>>;

/** Why it was refused; nothing copies. */
async function refusalOf(operation: Operation) {
  const failed: unknown = await operation.result().catch((error: unknown) => error);
  const failure = failureDetails(failed);
  expect(failure?.type).toBe('Refused');
  expect(await copiers(system)).toEqual([]);
  return failure?.details;
}

const refusal = async (image: ImageRef, to = VAULT) =>
  refusalOf(await startMove(system, { image, to }));
const codeOf = async (image: ImageRef, to = VAULT) => (await refusal(image, to))?.code;

describe('a move is refused', () => {
  it('vm-running: a copy while the VM runs, with a hint', async () => {
    const file = await defineOff(system, 'running');
    await system.host.virsh('start', 'running');
    const copy = await startCopy(system, { image: diskOf('running'), to: VAULT });
    const details = await refusalOf(copy);
    expect(details).toMatchObject({ code: 'vm-running' });
    expect(details?.next).toContain('`virsh shutdown running`');
    await system.host.virsh('destroy', 'running');
    await expectNothingLeft(system, ['running.qcow2']);
    expect(await recordOf(system, 'running')).toBe(file);
  });

  it('managed-save: while the guest is saved, which a copy may', async () => {
    const file = await createImage(join(images(), 'saved.qcow2'));
    await defineShutOff(system.host, 'saved', diskXml(file));
    await system.host.virsh('start', 'saved');
    await system.host.virsh('managedsave', 'saved');
    const image = { kind: 'disk', vm: 'saved', disk: 'vdb' } as const;
    const details = await refusal(image);
    expect(details?.code).toBe('managed-save');
    expect(details?.next).toContain('`virsh managedsave-remove saved`');
    const copy = await startCopy(system, { image, to: VAULT });
    expect(await copy.result()).toMatchObject({ outcome: 'copied' });
    await rm(inVault(system, file));
    await expectNothingLeft(system, ['saved.qcow2']);
    await system.host.virsh('start', 'saved');
    expect(await system.host.virsh('domstate', '--reason', 'saved')).toContain('(restored)');
    await system.host.virsh('destroy', 'saved');
  });

  it('invalid-request: with a name that has no room for what a copy adds to it', async () => {
    const name = `${'n'.repeat(239)}.qcow2`;
    const file = await createImage(join(images(), name));
    await defineShutOff(system.host, 'named', diskXml(file));
    expect(await codeOf({ kind: 'disk', vm: 'named', disk: 'vdb' })).toBe('invalid-request');
    await expectNothingLeft(system, [name]);
  });

  it('shared-base: while another chain stands on it, which a copy may', async () => {
    const base = join(images(), 'template.qcow2');
    await create(base, '1M');
    await create('-F', 'qcow2', '-b', base, join(images(), 'child.qcow2'));
    expect(await codeOf(volume('template.qcow2'))).toBe('shared-base');
    const copy = await startCopy(system, { image: volume('template.qcow2'), to: VAULT });
    expect(await copy.result()).toMatchObject({ outcome: 'copied' });
    await rm(inVault(system, base));
  });

  it('volume-in-use: while a VM names it, when asked for as a standalone image', async () => {
    await defineOff(system, 'owner');
    expect(await codeOf(volume('owner.qcow2'))).toBe('volume-in-use');
    await expectNothingLeft(system, ['owner.qcow2']);
  });

  it('volume-in-use: while some process writes to it', async () => {
    const file = join(images(), 'written.qcow2');
    await create(file, '1M');
    const writer = execa('qemu-io', ['-f', 'qcow2', file], { stdin: 'pipe', reject: false });
    try {
      await waitUntil('its lock', async () => !(await isUnlocked(file)));
      expect(await codeOf(volume('written.qcow2'))).toBe('volume-in-use');
    } finally {
      writer.kill();
      await writer;
    }
    await expectNothingLeft(system, ['written.qcow2']);
  });

  it('unsupported-format: with an external data file', async () => {
    const file = join(images(), 'outer.qcow2');
    await create('-o', `data_file=${file}.data`, file, '1M');
    expect(await codeOf(volume('outer.qcow2'))).toBe('unsupported-format');
  });

  it('name-taken: when the target has a file of that name, which stays', async () => {
    await create(join(images(), 'taken.qcow2'), '1M');
    await writeFile(inVault(system, 'taken.qcow2'), 'not ours');
    const details = await refusal(volume('taken.qcow2'));
    expect(details?.code).toBe('name-taken');
    expect(details?.next).toContain('`blockflow rm vault/taken.qcow2` looks who uses it');
    await rm(inVault(system, 'taken.qcow2'));
    await expectNothingLeft(system, ['taken.qcow2']);
  });

  it('same-pool: when some of its volumes lie in the target already', async () => {
    const folder = inVault(system, '');
    const base = await createImage(join(folder, 'split.qcow2'));
    const top = await createImage(join(images(), 'split-1.qcow2'), { below: base });
    await defineShutOff(system.host, 'split', diskXml(top));
    const image = { kind: 'disk', vm: 'split', disk: 'vdb' } as const;
    const before = await contents([base, top]);
    const details = await refusal(image);
    expect(details?.code).toBe('same-pool');
    expect(details?.now).toContain('split.qcow2 of this image lies in pool vault already');
    expect(details?.next).toBe(
      'Move it to a third pool first, and from there to vault; ' +
        'or merge it (`blockflow merge split/vdb`)',
    );
    const copy = await refusalOf(await startCopy(system, { image, to: VAULT }));
    expect(copy).toMatchObject({ code: 'same-pool' });
    expect(copy?.next).toBe(
      'Choose another pool, or give the copy a name while the VM is down ' +
        '(`blockflow copy split vdb --to vault --name NAME`)',
    );
    expect(await contents([base, top])).toEqual(before);
    // As it says.
    const attic = await system.host.definePool('attic');
    for (const to of ['attic', VAULT]) {
      const move = await startMove(system, { image, to });
      const removed = await removalOf(system, await move.result());
      expect(removed.deleted).toHaveLength(2);
    }
    const chain = ['split.qcow2', 'split-1.qcow2'].map((name) => join(folder, name));
    expect(await contents(chain)).toEqual(before);
    expect(await poolFiles(attic)).toEqual([]);
    await Promise.all(chain.map((path) => rm(path)));
  });

  it('name-taken: when two of its volumes have one name', async () => {
    const base = await createImage(join(await system.host.definePool('other'), 'twice.qcow2'));
    const top = await createImage(join(images(), 'twice.qcow2'), { below: base });
    await defineShutOff(system.host, 'twice', diskXml(top));
    const details = await refusal({ kind: 'disk', vm: 'twice', disk: 'vdb' });
    expect(details).toMatchObject({
      code: 'name-taken',
      next: 'Merge it first (`blockflow merge twice/vdb`)',
    });
  });

  it('unknown-pool, unknown-volume, unknown-vm, unknown-disk', async () => {
    await create(join(images(), 'some.qcow2'), '1M');
    expect(await codeOf(volume('some.qcow2'), 'nowhere')).toBe('unknown-pool');
    expect(await codeOf(volume('none.qcow2'))).toBe('unknown-volume');
    expect(await codeOf(diskOf('absent'))).toBe('unknown-vm');
    await defineOff(system, 'onedisk');
    expect(await codeOf({ ...diskOf('onedisk'), disk: 'vdz' })).toBe('unknown-disk');
  });

  it('unsupported-pool: a pool whose volumes are no files', () => {
    const lvm = { name: 'lvm', type: 'logical', folder: '/dev/lvm' };
    const find = () => findPool(volume('some.qcow2'), [lvm], 'lvm');
    expect(find).toThrow(/pool lvm .* it is of type logical/);
  });

  it('outside-pools: a layer below lies in no pool', async () => {
    const outside = join(system.host.root, 'outside');
    await mkdir(outside);
    await create(join(outside, 'base.qcow2'), '1M');
    await create('-F', 'qcow2', '-b', join(outside, 'base.qcow2'), join(images(), 'above.qcow2'));
    expect(await codeOf(volume('above.qcow2'))).toBe('outside-pools');
  });

  it('is already done when every volume is in the target pool', async () => {
    await create(join(images(), 'there.qcow2'), '1M');
    const move = await startMove(system, { image: volume('there.qcow2'), to: POOL });
    expect(await move.result()).toMatchObject({ outcome: 'already-done', removal: null });
  });
});
