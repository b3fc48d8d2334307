/** Who else may write to what a snapshot makes a base: found in the XML, before it runs. */
import { link, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { failureOf } from '../../support/scenes/failure-of.ts';
import { POOL, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { revertTo } from '../../support/scenes/revert-scene.ts';
import { takeSnapshot } from '../../support/scenes/snapshot-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const system = useSystem(() => startSharedSystem({ name: 'onlywriter' }));
const virsh = (...args: string[]) => system.host.virsh(...args);
const inPool = (name: string) => join(system.host.pools, POOL, name);
let count = 0;
let [vm, other, file] = ['', '', ''];
beforeEach(async () => {
  [vm, other] = [`sole${++count}`, `other${count}`];
  file = await createImage(inPool(`${vm}.qcow2`));
  await defineShutOff(system.host, vm, diskXml(file));
});

const take = () => takeSnapshot(system, { vm, name: 's1', exclude: ['vda'] });
const sources = () => virsh('domblklist', vm, '--inactive');

async function expectRefused(words: string): Promise<void> {
  const failure = await failureOf(take());
  expect(failure).toMatchObject({ type: 'Refused', code: 'volume-in-use' });
  expect(failure.now).toContain(words);
  expect(await sources()).toContain(file);
  expect(await virsh('snapshot-list', vm, '--name')).not.toContain('s1');
}

const spelled: Record<string, () => string | Promise<string>> = {
  'by its path': () => diskXml(file),
  'by a link': () => symlink(file, `${file}.link`).then(() => diskXml(`${file}.link`)),
  'by a hard link': () => link(file, `${file}.hard`).then(() => diskXml(`${file}.hard`)),
  'as a volume of the pool': () =>
    diskXml('')
      .replace("type='file' device", "type='volume' device")
      .replace("<source file=''/>", `<source pool='${POOL}' volume='${vm}.qcow2'/>`),
  'as raw, which is how another tool may read it': () => diskXml(file, 'raw'),
};

it.each(Object.keys(spelled))('volume-in-use: a VM that is down has it %s', async (how) => {
  await defineShutOff(system.host, other, (await spelled[how]?.()) ?? '');
  await expectRefused(`VM ${other} has`);
  await virsh('undefine', other);
  expect(await take()).toMatchObject({ outcome: 'created' });
});

it('volume-in-use: so does the VM that runs, as another disk of its record', async () => {
  await virsh('start', vm, '--paused');
  const more = join(system.host.root, 'more.xml');
  await writeFile(more, diskXml(file).replaceAll('vdb', 'vdc'));
  await virsh('attach-device', vm, more, '--config');
  await expectRefused('as its disk vdc, too');
});

it('volume-in-use: a loop device writes to the disk of a VM that is down', async () => {
  const { stdout: device } = await execa('losetup', ['--find', '--show', file]);
  try {
    await expectRefused(device.replace('/dev/', ''));
  } finally {
    await execa('losetup', ['--detach', device]);
  }
  expect(await take()).toMatchObject({ outcome: 'created' });
});

it.each(['<readonly/>', '<transient/>'])(
  'A VM that has it with %s does not matter',
  async (how) => {
    await defineShutOff(system.host, other, diskXml(file, 'qcow2', how));
    expect(await take()).toMatchObject({ outcome: 'created' });
  },
);

it('Nor does a clone that stands on it, nor a VM whose file cannot be looked at', async () => {
  const clone = await createImage(inPool(`${vm}.clone`), { below: file });
  await defineShutOff(system.host, other, diskXml(clone));
  const away = join(system.host.root, 'circle');
  await symlink(away, away);
  await defineShutOff(system.host, `${other}-ill`, diskXml(away));
  expect(await take()).toMatchObject({ outcome: 'created' });
});

it('volume-in-use: a revert to a snapshot whose base another VM has', async () => {
  await take();
  await defineShutOff(system.host, other, diskXml(file));
  const before = await sources();
  const failure = await failureOf(revertTo(system, { vm, name: 's1' }));
  expect(failure).toMatchObject({ type: 'Refused', code: 'volume-in-use' });
  expect(failure.now).toContain(`VM ${other} has`);
  expect(await sources()).toBe(before);
  await virsh('undefine', other);
  expect(await revertTo(system, { vm, name: 's1' })).toMatchObject({ outcome: 'reverted' });
});
