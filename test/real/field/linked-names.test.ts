/**
 * Links, and backing names that are relative: QEMU looks for them in the folder of the name that it
 * was given, and the kernel follows `..` through links to folders. What blockflow writes names
 * files with links resolved, so below such a name there may be another file, or none.
 */
import { mkdir, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { revertTo } from '../../support/scenes/revert-scene.ts';
import { takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import {
  contents,
  digests,
  removalOf,
  startMove,
} from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const POOLS = { here: 'here', there: 'there', inner: 'there/inner', target: 'target' };

const system = useSystem(() =>
  startSharedSystem({
    name: 'linked',
    async prepare(host) {
      for (const [pool, folder] of Object.entries(POOLS)) {
        await mkdir(join(host.pools, folder), { recursive: true });
        await host.definePool(pool, join(host.pools, folder));
      }
    },
  }),
);
const file = (pool: keyof typeof POOLS, name: string) => join(system.host.pools, POOLS[pool], name);

const write = (path: string, byte: number) =>
  execa('qemu-io', ['-f', 'qcow2', '-c', `write -P ${byte} 0 64k`, path]);

/** An image here, whose header names a file of its folder, is there, behind a link. */
async function linkedImage(vm: string) {
  const base = await createImage(file('here', `${vm}-base`));
  await write(base, 1);
  const [link, web] = [file('here', `${vm}-web`), file('there', `${vm}-web`)];
  await createImage(link, { below: `${vm}-base` });
  await rename(link, web);
  await symlink(web, link);
  return { base, link, web };
}

/** What QEMU finds by the same name from the other folder. */
const others = [
  ['no file', () => Promise.resolve()],
  [
    'another file',
    async (vm: string) => void (await write(await createImage(file('there', `${vm}-base`)), 9)),
  ],
] as const;

async function expectReads(vm: string, path: string, before: string): Promise<void> {
  expect(await contents([path])).toEqual([before]);
  await system.host.virsh('start', vm, '--paused');
  await system.host.virsh('destroy', vm);
}

const refusal = { type: 'Refused', code: 'broken-chain' };
let count = 0;

it.each(others)('no snapshot, where QEMU would find %s below it', async (_, prepare) => {
  const vm = `snap${++count}`;
  const { link } = await linkedImage(vm);
  await prepare(vm);
  await defineShutOff(system.host, vm, diskXml(link));
  const [before = ''] = await contents([link]);
  const failure = await failureOf(takeSnapshot(system, { vm, name: 's1', exclude: ['vda'] }));
  expect(failure).toMatchObject(refusal);
  expect(failure.now).toContain(file('there', `${vm}-base`));
  await expectReads(vm, link, before);
});

it('what the words of that refusal say helps', async () => {
  const vm = `snap${++count}`;
  const { link } = await linkedImage(vm);
  await defineShutOff(system.host, vm, diskXml(link));
  const [before = ''] = await contents([link]);
  const { next = '' } = await failureOf(takeSnapshot(system, { vm, name: 's1', exclude: ['vda'] }));
  const command = /qemu-img rebase [^`]*/.exec(next)?.[0] ?? 'false';
  await execa('sh', ['-c', command]);
  const { disks } = await takeSnapshot(system, { vm, name: 's1', exclude: ['vda'] });
  await expectReads(vm, disks[0]?.overlay ?? '', before);
});

it('a snapshot, where the same file is below it by either name', async () => {
  const vm = `snap${++count}`;
  const { link, base } = await linkedImage(vm);
  await symlink(base, file('there', `${vm}-base`));
  await defineShutOff(system.host, vm, diskXml(link));
  const [before = ''] = await contents([link]);
  const { disks } = await takeSnapshot(system, { vm, name: 's1', exclude: ['vda'] });
  await expectReads(vm, disks[0]?.overlay ?? '', before);
});

it('no snapshot, where only the layer below the next one would be another', async () => {
  const vm = `snap${++count}`;
  const { link, base } = await linkedImage(vm);
  await createImage(file('here', `${vm}-root`));
  await execa('qemu-img', ['rebase', '-f', 'qcow2', '-u', '-F', 'qcow2', '-b', `${vm}-root`, base]);
  await symlink(base, file('there', `${vm}-base`));
  await defineShutOff(system.host, vm, diskXml(link));
  const [before = ''] = await contents([link]);
  const taking = takeSnapshot(system, { vm, name: 's1', exclude: ['vda'] });
  expect(await failureOf(taking)).toMatchObject(refusal);
  await expectReads(vm, link, before);
});

const merges = others.flatMap(([what, prepare]) =>
  (['down', 'running'] as const).flatMap((state) =>
    [false, true].map((inner) => ({ what, prepare, state, inner })),
  ),
);
it.each(merges)('no merge, VM $state, inner $inner, over $what', async (one) => {
  const { prepare, state, inner } = one;
  const vm = `merge${++count}`;
  const { link } = await linkedImage(vm);
  await prepare(vm);
  const middle = await createImage(file('here', `${vm}-middle`), { below: link });
  await write(middle, 3);
  const top = inner ? await createImage(file('here', `${vm}-top`), { below: middle }) : middle;
  await defineShutOff(system.host, vm, diskXml(top));
  if (state === 'running') await system.host.virsh('start', vm, '--paused');
  const options = inner ? { top: middle, base: link } : { shallow: true };
  const failure = await failureOf(merged(system, { vm, disk: 'vdb', ...options }));
  if (state === 'running') await system.host.virsh('destroy', vm);
  expect(failure).toMatchObject(refusal);
  const [before = ''] = await contents([top]);
  await expectReads(vm, top, before);
});

it('no relative name that leads elsewhere from the link of an overlay', async () => {
  const vm = `relative${++count}`;
  const base = await createImage(file('there', `${vm}-base`));
  await write(base, 1);
  const middle = await createImage(file('there', `${vm}-middle`), { below: base });
  await write(middle, 2);
  const top = await createImage(file('there', `${vm}-top`), { below: middle });
  const link = file('here', `${vm}-top`);
  await symlink(top, link);
  await defineShutOff(system.host, vm, diskXml(link));
  const [before = ''] = await contents([link]);
  const request = { vm, disk: 'vdb', top: middle } as const;
  const relative = failureOf(merged(system, { ...request, keepRelative: true }));
  expect(await relative).toMatchObject(refusal);
  await expectReads(vm, link, before);
  expect(await merged(system, request)).toMatchObject({ outcome: 'merged' });
  await expectReads(vm, link, before);
});

it('no revert to a layer below which there would be another file', async () => {
  const vm = `revert${++count}`;
  const { link } = await linkedImage(vm);
  await defineShutOff(system.host, vm, diskXml(link));
  const overlay = file('here', `${vm}-s1`);
  const spec = ['vda,snapshot=no', `vdb,file=${overlay}`].flatMap((words) => ['--diskspec', words]);
  await system.host.virsh('snapshot-create-as', vm, 's1', '--disk-only', ...spec);
  const [before = ''] = await contents([overlay]);
  expect(await failureOf(revertTo(system, { vm, name: 's1' }))).toMatchObject(refusal);
  await expectReads(vm, overlay, before);
});

it('a move takes what QEMU finds behind a link to a folder', async () => {
  const vm = `folder${++count}`;
  const [right, wrong] = [file('there', `${vm}-base`), file('here', `${vm}-base`)];
  for (const [at, path] of [right, wrong].entries()) await write(await createImage(path), at + 1);
  const top = file('inner', `${vm}-top`);
  await createImage(top, { below: `../${vm}-base` });
  await symlink(file('inner', ''), file('here', vm));
  const spelled = join(file('here', vm), `${vm}-top`);
  await defineShutOff(system.host, vm, diskXml(spelled));
  const [[before = ''], kept] = [await contents([spelled]), await digests([wrong])];
  const move = await startMove(system, { image: { kind: 'disk', vm, disk: 'vdb' }, to: 'target' });
  const result = await move.result();
  await removalOf(system, result);
  expect(await digests([wrong])).toEqual(kept);
  await expectReads(vm, file('target', `${vm}-top`), before);
});

it('what stands on a file is found through a link to a folder', async () => {
  const vm = `user${++count}`;
  const base = await createImage(file('there', `${vm}-base`));
  const middle = await createImage(file('there', `${vm}-middle`), { below: base });
  await symlink(file('inner', ''), file('here', `${vm}-link`));
  const below = `${vm}-link/../${vm}-middle`;
  await createImage(file('here', `${vm}-other`), { below });
  await defineShutOff(system.host, vm, diskXml(middle));
  const failure = await failureOf(merged(system, { vm, disk: 'vdb' }));
  expect(failure).toMatchObject({ type: 'Refused', code: 'shared-base' });
});
