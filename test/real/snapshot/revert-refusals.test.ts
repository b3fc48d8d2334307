/** What a revert does not touch, each told with its code; and a cancel. */
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createImage, redefine } from '../../support/guest/shut-off-vm.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { commandLine, environmentOf } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import {
  defineWithSnapshot,
  ownFiles,
  revertTo,
  startRevert,
} from '../../support/scenes/revert-scene.ts';
import {
  deleteSnapshot,
  sourcesOf,
  takeSnapshot,
  type SeveralDisks,
} from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'refusals' }));
let count = 0;
let scene: SeveralDisks;
let vm: string;
beforeEach(async () => {
  vm = `not${++count}`;
  scene = await defineWithSnapshot(system, vm);
});

const look = async () => [await sourcesOf(system, vm, '--inactive'), await ownFiles(system, vm)];

async function expectRefused(code: string, more: object = { name: 's1' }): Promise<void> {
  const before = await look();
  const failure = await failureOf(revertTo(system, { vm, ...more }));
  expect(failure).toMatchObject({ type: 'Refused', code });
  expect(await look()).toEqual(before);
}

describe('A revert is refused', () => {
  it('while the VM runs, or is saved: vm-running, managed-save', async () => {
    await scene.guest.start(60_000);
    await expectRefused('vm-running');
    await system.host.virsh('managedsave', vm);
    await expectRefused('managed-save');
    await system.host.virsh('managedsave-remove', vm);
  });

  it('when there is nothing to go back to: unknown-snapshot, nothing-to-undo', async () => {
    await expectRefused('unknown-snapshot', { name: 'other' });
    await expectRefused('nothing-to-undo', { undo: true });
  });

  it('when a layer was changed since, also of an undo: base-changed', async () => {
    const base = scene.disks['vdb'] ?? '';
    await revertTo(system, { vm, name: 's1' });
    const later = new Date(Date.now() + 120_000);
    await utimes(base, later, later);
    await expectRefused('base-changed');
    await expectRefused('base-changed', { undo: true });
  });

  it('when disks were added since: disks-changed', async () => {
    const path = await createImage(join(system.host.pools, POOL, `${vm}-new.qcow2`));
    await system.host.virsh('attach-disk', vm, path, 'vdz', '--subdriver', 'qcow2', '--config');
    await expectRefused('disks-changed');
  });

  it('when a disk was merged out of it, not when it was left out: disks-changed', async () => {
    const { vdb } = await sourcesOf(system, vm, '--inactive');
    await takeSnapshot(system, { vm, name: 's2', exclude: ['vdb'] });
    await takeSnapshot(system, { vm, name: 's3' });
    await deleteSnapshot(system, { vm, name: 's3' });
    expect(await revertTo(system, { vm, name: 's2' })).toMatchObject({ outcome: 'reverted' });
    expect(await sourcesOf(system, vm, '--inactive')).toMatchObject({ vdb });
    await (await system.merge({ vm, disk: 'vdb' })).result();
    await expectRefused('disks-changed');
    const { now, next } = await failureOf(revertTo(system, { vm, name: 's1' }));
    expect(now).toMatch(/^vdb of snapshot s1 was merged since/);
    expect(next).toContain(`blockflow snapshot delete ${vm} s1`);
    await takeSnapshot(system, { vm, name: 's4' });
    await (await system.merge({ vm, disk: 'vda' })).result();
    await expectRefused('disks-changed', { name: 's4' });
  });

  it('when a disk is another image than at any snapshot: disks-changed', async () => {
    const other = await createImage(join(system.host.pools, POOL, `${vm}.restored.qcow2`));
    const { vdb = '' } = await sourcesOf(system, vm, '--inactive');
    const replace = (from: string, to: string) =>
      redefine(system.host, vm, (xml) => xml.replace(from, to));
    await replace(vdb, other);
    await expectRefused('disks-changed');
    const { now, next } = await failureOf(revertTo(system, { vm, name: 's1' }));
    expect(now).toContain(`vdb has another image than at any snapshot, ${other}`);
    expect(next).toContain(`blockflow snapshot create ${vm}`);
    await takeSnapshot(system, { vm, name: 's2' });
    expect(await revertTo(system, { vm, name: 's1' })).toMatchObject({ outcome: 'reverted' });
    await revertTo(system, { vm, name: 's2' });
    expect((await sourcesOf(system, vm, '--inactive'))['vdb']).toContain('.restored.');
  });

  it('inside of images, or with memory: internal-snapshots, unsupported-format', async () => {
    await system.host.virsh('snapshot-create-as', vm, 'inside');
    await expectRefused('internal-snapshots', { name: 'inside' });
    const { next } = await failureOf(revertTo(system, { vm, name: 'inside' }));
    expect(next).toMatch(`VM down: \`virsh snapshot-revert ${vm} inside\`, which discards`);
    expect(next).toMatch(/libvirt 11\.2 and 11\.3 fail at it/);
    // What is to be typed works, when nothing stands on the images.
    await takeSnapshot(system, { vm, name: 's2' });
    const covered = await failureOf(revertTo(system, { vm, name: 'inside' }));
    expect(covered.next).toMatch(/^Layers stand on the image of vda, vdb now/);
    await deleteSnapshot(system, { vm, name: 's2' });
    expect(await failureOf(revertTo(system, { vm, name: 'inside' }))).toMatchObject({ next });
    await system.host.virsh('snapshot-revert', vm, 'inside');
    await scene.guest.start(60_000);
    const memory = `file=${join(system.host.root, `${vm}.memory`)}`;
    await system.host.virsh('snapshot-create-as', vm, 'awake', '--memspec', memory);
    await scene.guest.kill();
    await expectRefused('unsupported-format', { name: 'awake' });
    const result = await revertTo(system, { vm, name: 'awake', dropMemory: true });
    expect(result.warnings).toEqual([expect.stringContaining('memory in the snapshot is dropped')]);
  });
});

it('inside of images, with the id of another one for its name: the advice is right', async () => {
  const { vda = '', vdb = '' } = await sourcesOf(system, vm, '--inactive');
  const write = (pattern: string) =>
    execa('qemu-io', ['-f', 'qcow2', '-c', `write -P ${pattern} 0 64k`, vda]);
  await write('0x11');
  await system.host.virsh('snapshot-create-as', vm, '2');
  await write('0x22');
  await system.host.virsh('snapshot-create-as', vm, 'second');
  await write('0x33');
  const { next } = await failureOf(revertTo(system, { vm, name: '2' }));
  const [, command = ''] = /by its own id: `(.*)`, which/.exec(next ?? '') ?? [];
  expect(command).toBe(`qemu-img snapshot -a 1 ${vda} && qemu-img snapshot -a 1 ${vdb}`);
  await execa('bash', ['-c', command]);
  await execa('qemu-io', ['-f', 'qcow2', '-c', 'read -P 0x11 0 64k', vda]);
});

it('tells what the guest has kept outside of its disks, which stays', async () => {
  await redefine(system.host, vm, (xml) =>
    xml.replace(
      '</type>',
      "</type><loader readonly='yes' type='pflash'>/firmware</loader><nvram>/variables</nvram>",
    ),
  );
  const { warnings } = await revertTo(system, { vm, name: 's1' });
  expect(warnings).toEqual([
    expect.stringMatching(/^the variables of its firmware.*recovery key$/),
  ]);
});

it('a cancel before the switch leaves nothing; of an undo neither', async () => {
  const before = await look();
  await system.killRole('spm');
  const revert = await startRevert(system, { vm, name: 's1' });
  await revert.cancel();
  await system.startRole('spm');
  await expect(revert.result()).rejects.toThrow();
  expect(await look()).toEqual(before);
  await revertTo(system, { vm, name: 's1' });
  const reverted = await look();
  await system.killRole('spm');
  await system.startRole('spm', [{ effect: 'storage.restore-volume', action: 'kill-before' }]);
  const undo = await startRevert(system, { vm, undo: true });
  await system.roleEnded('spm');
  await undo.cancel();
  await system.startRole('spm');
  await expect(undo.result()).rejects.toThrow();
  expect(await look()).toEqual(reverted);
  const creation = commandLine(environmentOf(system))('snapshot', 'create', vm, '--dry-run');
  await says(creation, 0, `Snapshot `);
  expect((await revertTo(system, { vm, undo: true })).outcome).toBe('undone');
  expect(await takeSnapshot(system, { vm, name: 's2' })).toMatchObject({ outcome: 'created' });
});
