/**
 * Incremental backups go on over a merge of a VM that is down (FF-11): libvirt's checkpoints are
 * dirty bitmaps in the volumes that go.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { armFault } from '../../support/faults/faults.ts';
import { merged, type Request } from '../../support/scenes/merge-checks.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';

const system = useSystem(() => startSharedSystem({ name: 'checkpoints' }));

const virsh = (...args: string[]) => system.host.virsh(...args);
const inPool = (name: string) => join(system.host.pools, POOL, name);
const DEVICE = '/machine/peripheral/virtio-disk1/virtio-backend';

/** Writes a MiB as the guest would, while QEMU runs. */
async function write(vm: string, mebibyte: number): Promise<void> {
  const line = `qemu-io -d ${DEVICE} "write -P ${mebibyte} ${mebibyte}M 1M"`;
  // It prints what it does to QEMU's own output, and errors here.
  expect((await virsh('qemu-monitor-command', vm, '--hmp', line)).trim()).toBe('');
}

async function feed(command: string, vm: string, xml: string): Promise<void> {
  const file = join(system.host.root, `${command}.xml`);
  await writeFile(file, xml);
  await virsh(command, vm, file);
}

const checkpoint = (vm: string, name: string) =>
  feed(
    'checkpoint-create',
    vm,
    `<domaincheckpoint><name>${name}</name><disks><disk name='vda' checkpoint='no'/>
    <disk name='vdb' checkpoint='bitmap'/></disks></domaincheckpoint>`,
  );

/** Without metadata: libvirt 9.0 does not redefine it while there are checkpoints. */
const snapshot = (vm: string, name: string) =>
  virsh(
    ...['snapshot-create-as', vm, name, '--no-metadata', '--disk-only'],
    ...['--diskspec', 'vda,snapshot=no', '--diskspec', `vdb,file=${inPool(`${vm}.${name}`)}`],
  );

/** @returns which MiB an incremental backup since the checkpoint has */
async function backup(vm: string, since: string): Promise<number[]> {
  const file = join(system.host.root, `${vm}-since-${since}.qcow2`);
  await feed(
    'backup-begin',
    vm,
    `<domainbackup mode='push'><incremental>${since}</incremental><disks>
    <disk name='vda' backup='no'/><disk name='vdb' backup='yes' type='file'>
    <target file='${file}'/><driver type='qcow2'/></disk></disks></domainbackup>`,
  );
  await waitUntil('the backup', async () => /None/.test(await virsh('domjobinfo', vm)));
  const { stdout } = await execa('qemu-img', ['map', '-U', '--output=json', '-f', 'qcow2', file]);
  const extents = JSON.parse(stdout) as { start: number; length: number; data: boolean }[];
  const MIB = 2 ** 20;
  return Array.from({ length: 8 }, (_, at) => at).filter((at) =>
    extents.some(({ start, length, data }) => {
      return data && start < (at + 1) * MIB && start + length > at * MIB;
    }),
  );
}

/** Checkpoint c1, MiB 1, snapshot s1, MiB 2, c2, MiB 3, snapshot s2, MiB 4, c3, MiB 5; then off. */
async function defined(vm: string, more: { format?: string; options?: string } = {}) {
  const base = await createImage(inPool(`${vm}.base`), more);
  await defineShutOff(system.host, vm, diskXml(base, more.format));
  await virsh('start', vm, '--paused');
  if (!more.format && !more.options) await checkpoint(vm, 'c1');
  await write(vm, 1);
  await snapshot(vm, 's1');
  await write(vm, 2);
  await checkpoint(vm, 'c2');
  await write(vm, 3);
  await snapshot(vm, 's2');
  await write(vm, 4);
  await checkpoint(vm, 'c3');
  await write(vm, 5);
  await virsh('destroy', vm, '--graceful');
  return vm;
}

/** A backup has all since its checkpoint, also what is written after the merge. */
async function expectBackups(vm: string): Promise<void> {
  await virsh('start', vm, '--paused');
  await write(vm, 6);
  expect(await backup(vm, 'c1')).toEqual([1, 2, 3, 4, 5, 6]);
  expect(await backup(vm, 'c2')).toEqual(expect.arrayContaining([3, 4, 5, 6]));
  expect(await backup(vm, 'c3')).toEqual(expect.arrayContaining([5, 6]));
  await virsh('destroy', vm);
}

it.each<[string, Omit<Request, 'vm' | 'disk'>]>([
  ['all', {}],
  ['the top', { shallow: true }],
  ['the layer in the middle', { top: 'MIDDLE' }],
])('have all that was written, over a merge of %s', async (what, request) => {
  const vm = await defined(`of-${what.replaceAll(' ', '-')}`);
  const top = request.top ? { top: `${vm}.s1` } : {};
  const result = await merged(system, { vm, disk: 'vdb', ...request, ...top });
  expect(result.warnings.join()).toMatch(/dirty bitmaps .*c. follow into/);
  await expectBackups(vm);
});

it('have it when the agent dies after the commit, which runs again', async () => {
  const vm = await defined('died');
  armFault(system.trace, { effect: 'qemu-img.commit', action: 'kill-after' });
  const merge = await system.merge({ vm, disk: 'vdb' });
  await system.roleEnded('host');
  await system.startRole('host');
  await merge.result();
  await expectBackups(vm);
});

const bases: [string, { format?: string; options?: string }][] = [
  ['is raw', { format: 'raw' }],
  ['has compat=0.10', { options: 'compat=0.10' }],
];
let count = 0;

async function expectKept(vm: string, request: Partial<Request>, lost: RegExp): Promise<void> {
  const failure = await failureOf(merged(system, { vm, disk: 'vdb', ...request }));
  expect([failure.type, failure.code]).toEqual(['Refused', 'dirty-bitmaps']);
  expect(failure.now).toMatch(lost);
}

it.each(bases)(
  'dirty-bitmaps: no merge of a VM that is down into a base that %s',
  async (_, more) => {
    const vm = await defined(`down${++count}`, more);
    await expectKept(vm, {}, /c2, c3|c3, c2/);
  },
);

it.each(bases)('dirty-bitmaps: no merge of a VM that runs into a base that %s', async (_, more) => {
  const vm = await defined(`live${++count}`, more);
  await virsh('start', vm, '--paused');
  await expectKept(vm, {}, /c2, c3|c3, c2/);
  await expectKept(vm, { top: `${vm}.s1` }, /c2/);
  expect(await backup(vm, 'c3')).toEqual(expect.arrayContaining([5]));
  await virsh('destroy', vm);
});

it.each(bases)('dirty-bitmaps: that only QEMU has yet, of a base that %s', async (_, more) => {
  const vm = `new${++count}`;
  const base = await createImage(inPool(`${vm}.base`), more);
  await defineShutOff(system.host, vm, diskXml(base, more.format));
  await virsh('start', vm, '--paused');
  for (const name of ['s1', 's2']) {
    await write(vm, 1);
    await snapshot(vm, name);
  }
  await checkpoint(vm, 'c1');
  await write(vm, 2);
  await expectKept(vm, {}, /c1/);
  // Its bitmap is in the active layer alone.
  const inner = merged(system, { vm, disk: 'vdb', top: `${vm}.s1` });
  expect(await inner).toMatchObject({ outcome: 'merged' });
  expect(await backup(vm, 'c1')).toEqual(expect.arrayContaining([2]));
  await virsh('checkpoint-delete', vm, 'c1');
  expect(await merged(system, { vm, disk: 'vdb' })).toMatchObject({ outcome: 'merged' });
  await virsh('destroy', vm);
});
