/** A disk that only the running VM has, or only its record: a snapshot lists what it is of. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from '@jest/globals';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { commandLine, environmentOf } from '../../support/host/roles/command-line.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { ownFiles } from '../../support/scenes/revert-scene.ts';
import { deleteSnapshot, takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'onexml' }));
const virsh = (...args: string[]) => system.host.virsh(...args);
let count = 0;
let vm: string;
beforeEach(async () => {
  vm = `half${++count}`;
  const disk = await createImage(join(system.host.pools, POOL, `${vm}.qcow2`));
  await defineShutOff(system.host, vm, diskXml(disk));
  await virsh('start', vm);
});

async function attach(scope: '--live' | '--config', inside = ''): Promise<void> {
  const path = await createImage(join(system.host.pools, POOL, `${vm}-more.qcow2`));
  const file = join(system.host.root, 'more.xml');
  await writeFile(file, diskXml(path, 'qcow2', inside).replace('vdb', 'vdc'));
  await virsh('attach-device', vm, file, scope);
}

const take = (name: string, ...more: string[]) =>
  takeSnapshot(system, { vm, name, exclude: ['vda', ...more] });

async function expectTaken(name: string, ...more: string[]): Promise<void> {
  expect(await take(name, ...more)).toMatchObject({ outcome: 'created' });
  const xml = await virsh('snapshot-dumpxml', vm, name);
  expect(xml.match(/snapshot='external'/g)).toHaveLength(1);
  await deleteSnapshot(system, { vm, name });
  expect(await virsh('-q', 'snapshot-list', vm, '--name')).toBe('');
}

it('A disk of the running VM alone has to be left out: not-persistent', async () => {
  await attach('--live');
  const before = await ownFiles(system, vm);
  const failure = await failureOf(take('s1'));
  expect(failure).toMatchObject({ type: 'Refused', code: 'not-persistent' });
  expect(failure.next).toContain('`--exclude vdc`');
  expect(await ownFiles(system, vm)).toEqual(before);
  await expectTaken('s1', 'vdc');
});

it('A read-only disk of the running VM alone does not stop it', async () => {
  await attach('--live', '<readonly/>');
  await expectTaken('s1');
});

it('A disk of the record alone is not listed as a part of it', async () => {
  await attach('--config');
  await expectTaken('s1');
});

it('unknown-disk: what only the record has is no detached disk, and waits for the VM', async () => {
  await virsh('destroy', vm);
  await take('s1');
  const overlay = join(system.host.pools, POOL, `${vm}.s1`);
  await virsh('detach-disk', vm, 'vdb', '--config');
  const file = join(system.host.root, 'again.xml');
  await writeFile(file, diskXml(overlay));
  await virsh('start', vm);
  const list = async () =>
    (await commandLine(environmentOf(system))('snapshot', 'list', vm)).printed;
  expect(await list()).toContain('vdb (detached)');
  await virsh('attach-device', vm, file, '--config');
  const printed = await list();
  expect(printed).toMatch(/s1 .* vdb$/m);
  expect(printed).toContain('vdb: only its record has that disk');
  const failure = await failureOf(deleteSnapshot(system, { vm, name: 's1' }));
  expect(failure).toMatchObject({ type: 'Refused', code: 'unknown-disk' });
  expect(failure.next).toContain('Shut the VM down');
  await virsh('destroy', vm);
  expect(await list()).toMatch(/s1 .* vdb$/m);
  expect(await deleteSnapshot(system, { vm, name: 's1' })).toMatchObject({ outcome: 'deleted' });
});
