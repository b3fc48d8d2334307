/**
 * What another VM names on a mount that is dead, another user's or silent: no file there is one of
 * ours, so it stops no operation, unless it may be an image that stands on one.
 */
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from '@jest/globals';
import { execa } from 'execa';
import {
  createImage,
  defineChain,
  defineShutOff,
  diskXml,
} from '../../support/guest/shut-off-vm.ts';
import { mountUnserved } from '../../support/host/unserved-mount.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { merged } from '../../support/scenes/merge-checks.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import {
  removalOf,
  startMove,
  startMoveSystem,
  startRemoval,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';

const system = useSystem(() => startMoveSystem({ name: 'dead-neighbours' }));
const forTest = useEach();
const inPool = (name: string) => join(system.host.pools, POOL, name);
const virsh = (...args: string[]) => system.host.virsh(...args);
let count = 0;

const neighbours = new Set<string>();
/** Another VM, that is down, with this disk. */
async function neighbour(disk: string): Promise<string> {
  const vm = `neighbour${++count}`;
  neighbours.add(vm);
  await defineShutOff(system.host, vm, disk);
  return vm;
}
afterEach(async () => {
  for (const vm of neighbours) await virsh('undefine', vm, '--snapshots-metadata');
  neighbours.clear();
});

const cdrom = (path: string) => `<disk type='file' device='cdrom'><source file='${path}'/>
  <target dev='hdc' bus='ide'/><readonly/></disk>`;
const logTo = (path: string) =>
  `<serial type='file'><source path='${path}'/><target port='1'/></serial>`;

/** Each kind of operation that asks who else uses a file. */
async function operateBeside(): Promise<string[]> {
  const vm = `own${++count}`;
  const { image } = await defineChain(system.host, vm, inPool(''), 2);
  await createImage(inPool(`${vm}.gone`));
  await virsh('pool-refresh', POOL);
  const request = { pool: POOL, volume: `${vm}.gone`, format: 'qcow2' } as const;
  await takeSnapshot(system, { vm, name: 's1', exclude: ['vda'] });
  const move = await (await startMove(system, { image, to: VAULT })).result();
  await removalOf(system, move);
  const merge = await merged(system, { vm, disk: 'vdb' });
  const removal = await (await startRemoval(system, request)).result();
  expect([merge.outcome, removal.outcome]).toEqual(['merged', 'removed']);
  return merge.warnings;
}

it.each(['dead', 'private'] as const)('A %s mount stops no other VM', async (kind) => {
  const mount = await forTest(mountUnserved(kind));
  const link = join(system.host.root, `link-${kind}`);
  await symlink(mount.path, link);
  const onCd = await neighbour(cdrom(join(mount.path, 'a.iso')));
  await neighbour(cdrom(join(link, 'b.iso')));
  await neighbour(logTo(join(mount.path, 'c.log')));
  const raw = await neighbour(diskXml(join(mount.path, 'd.raw'), 'raw'));
  await takeMemoryless(raw, join(mount.path, 'd.snapshot'));
  const header = inPool(`header-${kind}`);
  const below = ['-u', '-b', join(mount.path, 'e'), '-F', 'qcow2'];
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', ...below, header, '8M']);
  const warnings = await operateBeside();
  expect(warnings.join('\n')).toContain(`${join(mount.path, 'a.iso')} of VM ${onCd}`);
  await execa('rm', [header]);
});

/** A snapshot whose record names a file there, as one that was taken while all was well. */
async function takeMemoryless(vm: string, overlay: string): Promise<void> {
  const file = join(system.host.root, 'snapshot.xml');
  await writeFile(
    file,
    `<domainsnapshot><name>old</name><disks><disk name='vda' snapshot='no'/>` +
      `<disk name='vdb' snapshot='external'><driver type='qcow2'/>` +
      `<source file='${overlay}'/></disk>` +
      `</disks><creationTime>1</creationTime><state>disk-snapshot</state>` +
      `${await virsh('dumpxml', vm, '--inactive')}</domainsnapshot>`,
  );
  await virsh('snapshot-create', vm, file, '--redefine');
}

it('unproven: an image there may stand on one of ours, and the VM is told', async () => {
  const mount = await forTest(mountUnserved('dead'));
  const path = join(mount.path, 'x.qcow2');
  const vm = await neighbour(diskXml(path));
  const { image } = await defineChain(system.host, 'stands', inPool(''), 2);
  const operations = [
    () => merged(system, { vm: 'stands', disk: 'vdb' }),
    async () => (await startMove(system, { image, to: VAULT })).result(),
  ];
  for (const operation of operations) {
    const failure = await failureOf(operation());
    expect(failure).toMatchObject({ type: 'Hold', code: 'unproven' });
    expect(failure.attempted).toContain(`${path}, which VM ${vm} names`);
    expect(failure.next).toContain(`detach it from VM ${vm}`);
  }
  // Its pool is stopped: as all others there it is left out, and told.
  await virsh('pool-define-as', 'away', 'dir', '--target', mount.path);
  const { outcome, warnings } = await merged(system, { vm: 'stands', disk: 'vdb' });
  expect(outcome).toBe('merged');
  expect(warnings.join('\n')).toContain(`${path} of VM ${vm}`);
  await virsh('pool-undefine', 'away');
});

it('A mount that hangs stops no other VM', async () => {
  const mount = await forTest(mountUnserved('silent'));
  await neighbour(cdrom(join(mount.path, 'a.iso')));
  await neighbour(cdrom(join(mount.path, 'b.iso')));
  const { chain } = await defineChain(system.host, 'patient', inPool(''), 2);
  const { outcome, warnings } = await merged(system, { vm: 'patient', disk: 'vdb' });
  expect([outcome, chain.length]).toEqual(['merged', 2]);
  expect(warnings.join('\n')).toContain(join(mount.path, 'a.iso'));
});
