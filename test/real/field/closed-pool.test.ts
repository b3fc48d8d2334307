/**
 * A pool that QEMU cannot reach (FF-22): the agents are root and see no difference, the VM would
 * not start from there. QEMU runs as Debian's default user.
 */
import { chmod, chown, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import { armFault } from '../../support/faults/faults.ts';
import { createImage, defineShutOff, diskXml, redefine } from '../../support/guest/shut-off-vm.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import {
  digests,
  removalOf,
  startMove,
  startMoveSystem,
} from '../../support/scenes/transfer/move-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';

const system = useSystem(() => startMoveSystem({ name: 'closed' }));

const KVM = async () => Number((await execa('id', ['-g', 'libvirt-qemu'])).stdout);

/** A pool in folder `inner` of a folder of these rights. */
interface Place {
  mode: number;
  group: 'root' | 'kvm';
  /** The pool is the folder of these rights itself. */
  itself?: boolean;
  /** The pool's path is a link to it. */
  linked?: boolean;
}

/** @returns the folder of these rights */
async function definePool(pool: string, { mode, group, itself, linked }: Place): Promise<string> {
  const outer = join(system.host.root, `outer-${pool}`);
  const inner = itself ? outer : join(outer, 'inner');
  const target = linked ? join(system.host.root, `link-${pool}`) : inner;
  await mkdir(inner, { recursive: true });
  if (linked) await symlink(inner, target);
  await system.host.definePool(pool, target);
  await chmod(outer, mode);
  await chown(outer, 0, group === 'kvm' ? await KVM() : 0);
  // The SPM agent serves the pools that it finds.
  await system.killRole('spm');
  await system.startRole('spm');
  return outer;
}

async function defineOff(vm: string): Promise<string> {
  const file = await createImage(join(system.host.pools, POOL, `${vm}.qcow2`));
  await defineShutOff(system.host, vm, diskXml(file));
  // The file of its serial port is where it does not matter here.
  await redefine(system.host, vm, (xml) => xml.replace(/<serial.*<\/serial>/s, ''));
  return file;
}

const move = async (vm: string, to: string) =>
  (await startMove(system, { image: { kind: 'disk', vm, disk: 'vdb' }, to })).result();
async function expectStarts(vm: string): Promise<void> {
  await system.host.virsh('start', vm, '--paused');
  await system.host.virsh('destroy', vm);
}

it.each<[string, Place]>([
  ['a closed folder above it', { mode: 0o700, group: 'root' }],
  ['a folder above it that only a group may enter', { mode: 0o750, group: 'root' }],
  ['a closed folder of its own', { mode: 0o700, group: 'kvm', itself: true }],
  ['a closed folder behind a link', { mode: 0o740, group: 'kvm', linked: true }],
])('closed-folder: nothing is moved into %s', async (name, place) => {
  const vm = name.replaceAll(' ', '-');
  const outer = await definePool(`to-${vm}`, place);
  const file = await defineOff(vm);
  const before = await digests([file]);
  const failure = await failureOf(move(vm, `to-${vm}`));
  expect([failure.type, failure.code]).toEqual(['Refused', 'closed-folder']);
  expect(failure.now).toContain(`cannot enter ${outer},`);
  expect(await digests([file])).toEqual(before);
  await expectStarts(vm);
});

it('moves where QEMU gets by one of its groups, and the VM starts', async () => {
  await definePool('by-group', { mode: 0o710, group: 'kvm' });
  await defineOff('grouped');
  const result = await move('grouped', 'by-group');
  await removalOf(system, result);
  await expectStarts('grouped');
});

it("closed-folder: as the domain's own label says", async () => {
  await definePool('others', { mode: 0o710, group: 'kvm' });
  await defineOff('labelled');
  const label = `<seclabel type='static' model='dac' relabel='yes'><label>+1:+1</label></seclabel>`;
  await redefine(system.host, 'labelled', (xml) => xml.replace('</domain>', `${label}</domain>`));
  const failure = await failureOf(move('labelled', 'others'));
  expect(failure.code).toBe('closed-folder');
  expect(failure.now).toContain('(1:1)');
});

it('keeps the source where the folder is closed during the copy', async () => {
  const outer = await definePool('closing', { mode: 0o755, group: 'root' });
  const file = await defineOff('closing');
  const before = await digests([file]);
  armFault(system.trace, { effect: 'storage.reserve-image', action: 'kill-before' });
  const failure = failureOf(move('closing', 'closing'));
  await system.roleEnded('spm');
  await chmod(outer, 0o700);
  await system.startRole('spm');
  expect((await failure).now).toContain(`cannot enter ${outer}`);
  expect(await digests([file])).toEqual(before);
  await expectStarts('closing');
});

it('moves a standalone image there, and tells', async () => {
  await definePool('archive', { mode: 0o700, group: 'root' });
  await createImage(join(system.host.pools, POOL, 'old.qcow2'));
  const image = { kind: 'volume', pool: POOL, volume: 'old.qcow2', format: 'qcow2' } as const;
  const result = await (await startMove(system, { image, to: 'archive' })).result();
  expect(result.warnings.join()).toContain('no VM can start from');
});
