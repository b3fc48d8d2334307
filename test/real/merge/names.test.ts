import { mkdir, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { expectLeftClean, merged, SMALL } from '../../support/scenes/merge-checks.ts';
import { startScene, type Scene, type SceneOptions } from '../../support/scenes/merge-scene.ts';
import { addLayer, backingName } from '../../support/guest/disks/relative-chain.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

const system = useSystem();
const forTest = useEach();

const start = (options: SceneOptions) =>
  forTest(startScene({ system, guest: SMALL, layers: 0, ...options }));

/** Puts a layer on the chain and lets the guest write over every slot of it. */
async function grow({ guest, pool }: Scene, name: string, below: string): Promise<string> {
  const file = resolve(pool, name);
  await addLayer(system.host, guest.name, { file, below });
  await guest.waitForAcks(17);
  return file;
}

describe('names in a chain', () => {
  it('leaves relative backing names relative with --keep-relative', async () => {
    const here = await start({ vm: 'rel' });
    await grow(here, 'rel-1.qcow2', 'rel.qcow2');
    await grow(here, 'rel-2.qcow2', 'rel-1.qcow2');
    const active = await grow(here, 'rel-3.qcow2', 'rel-2.qcow2');
    const request = { vm: 'rel', disk: 'vda', top: 'rel-2.qcow2', base: 'rel.qcow2' };
    const result = await merged(system, { ...request, keepRelative: true });
    expect(result).toMatchObject({ mode: 'inner', chainAfter: [here.chain[0], active] });
    expect(await backingName(active)).toBe('rel.qcow2');
    await expectLeftClean(here, ['rel.qcow2', 'rel-3.qcow2']);
    await here.verifyAfterCrash();
  });

  it('merges the active layer of a chain with names such as ../images/base', async () => {
    const here = await start({ vm: 'dots' });
    await grow(here, 'dots-1.qcow2', '../images/dots.qcow2');
    await grow(here, 'dots-2.qcow2', './dots-1.qcow2');
    const result = await merged(system, { vm: 'dots', disk: 'vda' });
    expect(result).toMatchObject({ mode: 'active', chainAfter: here.chain });
    await expectLeftClean(here, ['dots.qcow2']);
    await here.verifyAfterCrash();
  });

  it('merges an inner layer of a chain with names such as ../images/base', async () => {
    const here = await start({ vm: 'dot' });
    await grow(here, 'dot-1.qcow2', '../images/dot.qcow2');
    const active = await grow(here, 'dot-2.qcow2', '../images/dot-1.qcow2');
    const result = await merged(system, { vm: 'dot', disk: 'vda', top: 'dot-1.qcow2' });
    expect(result).toMatchObject({ mode: 'inner', chainAfter: [...here.chain, active] });
    await expectLeftClean(here, ['dot.qcow2', 'dot-2.qcow2']);
    await here.verifyAfterCrash();
  });

  it('merges a chain that leads over symbolic links, and deletes the file behind one', async () => {
    const here = await start({ vm: 'link' });
    const links = join(system.host.root, 'links');
    await mkdir(links);
    for (const name of ['link.qcow2', 'link-1.qcow2']) {
      await symlink(join(here.pool, name), join(links, name));
    }
    await grow(here, 'link-1.qcow2', join(links, 'link.qcow2'));
    const active = await grow(here, 'link-2.qcow2', join(links, 'link-1.qcow2'));
    const inner = { vm: 'link', disk: 'vda', top: join(links, 'link-1.qcow2') };
    expect(await merged(system, inner)).toMatchObject({
      mode: 'inner',
      chainAfter: [...here.chain, active],
    });
    await expectLeftClean(here, ['link.qcow2', 'link-2.qcow2']);
    expect(await merged(system, { vm: 'link', disk: 'vda' })).toMatchObject({ mode: 'active' });
    await expectLeftClean(here, ['link.qcow2']);
    await here.verifyAfterCrash();
  });
});

describe('a link to the volume that is merged, and none to its base', () => {
  it('is seen as that volume', async () => {
    const here = await start({ vm: 'linked' });
    const folder = join(system.host.root, 'links-linked');
    await mkdir(folder);
    const [top, link] = [join(here.pool, 'linked-1.qcow2'), join(folder, 'linked-1.qcow2')];
    await symlink(top, link);
    await grow(here, link, here.chain[0] as string);
    const result = await merged(system, { vm: 'linked', disk: 'vda' });
    expect(result).toMatchObject({ mode: 'active', deleted: [top] });
    await expectLeftClean(here, ['linked.qcow2']);
    await here.verifyAfterCrash();
  });
});

describe('a long name', () => {
  it('is no obstacle to the deletion of its volume', async () => {
    const here = await start({ vm: 'long' });
    const name = `long-${'n'.repeat(244)}.qcow2`;
    const top = await grow(here, name, 'long.qcow2');
    const result = await merged(system, { vm: 'long', disk: 'vda' });
    expect(result).toMatchObject({ mode: 'active', deleted: [top] });
    await expectLeftClean(here, ['long.qcow2']);
    await here.verifyAfterCrash();
  });
});

describe('names of a VM', () => {
  it('merges a VM whose name is the number of another running VM', async () => {
    const virsh = (...args: string[]) => system.host.virsh(...args);
    const before = await start({ vm: 'counted' });
    const id = Number(await virsh('domid', 'counted'));
    await before.close();
    const numbered = await start({ vm: String(id + 2), layers: 1 });
    const other = await start({ vm: 'other', layers: 1 });
    expect((await virsh('domid', 'other')).trim()).toBe(numbered.guest.name);
    const result = await merged(system, { vm: numbered.guest.name, disk: 'vda' });
    expect(result).toMatchObject({ mode: 'active', chainAfter: numbered.chain.slice(0, 1) });
    expect(await other.files()).toEqual(['other-snap1.qcow2', 'other.qcow2']);
    await other.verifyAfterCrash();
    await expectLeftClean(numbered, [`${numbered.guest.name}.qcow2`]);
    await numbered.verifyAfterCrash();
  });

  it('merges a VM whose name has spaces and quotes', async () => {
    const vm = `it's "two" words & 7`;
    const here = await start({ vm, layers: 1 });
    const result = await merged(system, { vm, disk: 'vda' });
    expect(result).toMatchObject({ mode: 'active', chainAfter: here.chain.slice(0, 1) });
    await expectLeftClean(here, [`${vm}.qcow2`]);
    await system.host.virsh('destroy', vm);
    await here.verifyAfterCrash();
  });
});
