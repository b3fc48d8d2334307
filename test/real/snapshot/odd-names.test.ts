/** Snapshots of other tools, named as libvirt allows: ours are taken and deleted beside them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from '@jest/globals';
import { execa } from 'execa';
import {
  createImage,
  defineChain,
  defineShutOff,
  diskXml,
} from '../../support/guest/shut-off-vm.ts';
import { commandLine, environmentOf } from '../../support/host/roles/command-line.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { deleteSnapshot, sourcesOf, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { revertTo } from '../../support/scenes/revert-scene.ts';
import { startRemoval } from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'oddnames' }));
const inPool = (name: string) => join(system.host.pools, POOL, name);
let count = 0;
let vm: string;
beforeEach(async () => {
  vm = `odd${++count}`;
  await defineShutOff(system.host, vm, diskXml(await createImage(inPool(`${vm}.qcow2`))));
});

/** As another tool does. */
async function takeBeside(name: string): Promise<void> {
  const file = join(system.host.root, 'odd.xml');
  const overlay = `<source file='${inPool(`${vm}.over`)}'/>`;
  await writeFile(
    file,
    `<domainsnapshot><name>${name}</name><disks><disk name='vda' snapshot='no'/>` +
      `<disk name='vdb' snapshot='external'>${overlay}</disk></disks></domainsnapshot>`,
  );
  await system.host.virsh('snapshot-create', vm, file, '--disk-only');
}

const take = () => takeSnapshot(system, { vm, name: 'ours', exclude: ['vda'] });
const listed = () => system.host.virsh('-q', 'snapshot-list', vm, '--name');

it.each(['end ', ' start', '  ', '123', "it's", '"', 'ü', '\\', '--name', '; quit', '$HOME'])(
  'A snapshot called %j',
  async (name) => {
    await takeBeside(name);
    await revertTo(system, { vm, name });
    await revertTo(system, { vm, undo: true });
    expect(await take()).toMatchObject({ outcome: 'created' });
    await deleteSnapshot(system, { vm, name: 'ours' });
    expect(await listed()).toBe(name);
    await deleteSnapshot(system, { vm, name });
    expect(await listed()).toBe('');
  },
);

it('Disks whose files differ in what follows the last dot alone, VM down and running', async () => {
  const raw = await createImage(inPool(`${vm}.raw`), { format: 'raw' });
  const xml = join(system.host.root, 'second.xml');
  await writeFile(xml, diskXml(raw, 'raw').replaceAll('vdb', 'vdc'));
  await system.host.virsh('attach-device', vm, xml, '--config');
  const sources = async () => {
    const { vdb, vdc } = await sourcesOf(system, vm, '--inactive');
    return [vdb, vdc];
  };
  const before = await sources();
  expect(await take()).toMatchObject({ outcome: 'created' });
  const overlays = [inPool(`${vm}.qcow2.ours`), inPool(`${vm}.raw.ours`)];
  expect(await sources()).toEqual(overlays);
  await revertTo(system, { vm, name: 'ours' });
  expect(new Set([...(await sources()), ...before, ...overlays]).size).toBe(6);
  await deleteSnapshot(system, { vm, name: 'ours' });
  expect(await sources()).toEqual(before);
  await system.host.virsh('start', vm, '--paused');
  expect(await take()).toMatchObject({ outcome: 'created' });
  expect(await sources()).toEqual(overlays);
});

it.each(['one\nline', '\n', 'ours\nours\nours'])(
  'has-snapshots: the name %j stops what changes that snapshot, and no other VM',
  async (name) => {
    expect(await take()).toMatchObject({ outcome: 'created' });
    await takeBeside(name);
    const odd = { type: 'Refused', code: 'has-snapshots', now: expect.stringContaining(vm) };
    const ended = [
      () => deleteSnapshot(system, { vm, name: 'ours' }),
      () => system.merge({ vm, disk: 'vdb' }).then((merge) => merge.result()),
    ];
    for (const end of ended) expect(await failureOf(end())).toMatchObject(odd);
    const { printed } = await commandLine(environmentOf(system))('snapshot', 'list', vm);
    expect(printed).toContain('ours');
    await createImage(inPool('gone.qcow2'));
    const request = { pool: POOL, volume: 'gone.qcow2', format: 'qcow2' } as const;
    await (await startRemoval(system, request)).result();
    const other = `${vm}-other`;
    await defineChain(system.host, other, inPool(''), 1);
    await takeSnapshot(system, { vm: other, name: 'ours', exclude: ['vda'] });
    await deleteSnapshot(system, { vm: other, name: 'ours' });
    const { next = '' } = await failureOf(deleteSnapshot(system, { vm, name: 'ours' }));
    const [, command = ''] = /`virsh (.*)`/.exec(next) ?? [];
    await execa('bash', ['-c', `virsh -c "$0" ${command}`, system.host.uri]);
    await deleteSnapshot(system, { vm, name: 'ours' });
  },
);
