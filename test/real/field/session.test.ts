/**
 * The libvirt of an ordinary user (`qemu:///session`): the records of its VMs are found where that
 * user's daemon keeps them, and the agents of another user do not start for it.
 */
import { chown, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, jest } from '@jest/globals';
import { execa } from 'execa';
import { domainFolder, syncRecords } from '../../../activities/adapters/virsh/libvirt-folders.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { asOrdinaryUser } from '../../support/host/ordinary-user.ts';
import { startRunningUp } from '../../support/host/roles/running-up.ts';
import { exitsWith } from '../../support/host/roles/says.ts';
import { startSessionLibvirt } from '../../support/host/session-libvirt.ts';
import { startSystem } from '../../support/host/system.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const session = use('the session', startSessionLibvirt);

const vmXml = (name: string, disk: string) =>
  `<domain type='qemu'><name>${name}</name><memory unit='MiB'>16</memory>
   <os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
   <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${disk}'/>
   <target dev='vda' bus='virtio'/></disk></devices></domain>`;

it('its records are found by agents of the same user only, and flushed', async () => {
  const folder = await session.ownFolder('found');
  const disk = await createImage(join(folder, 'disk'));
  const file = join(folder, 'vm.xml');
  await writeFile(file, vmXml('found', disk));
  await session.virsh('define', file);
  const vm = { name: 'found', uuid: (await session.virsh('domuuid', 'found')).trim() };
  // A stranger may call a process libvirtd. What is out of reach is flushed with everything.
  expect(await domainFolder(vm)).toBeNull();
  await expect(syncRecords(vm)).resolves.toBeUndefined();
  const { uid } = session;
  jest.spyOn(process, 'getuid').mockReturnValue(uid);
  expect(await domainFolder(vm)).toMatch(/^\/proc\/\d+\/root\/.*\/config\/libvirt\/qemu$/);
  await expect(syncRecords(vm)).resolves.toBeUndefined();
  jest.restoreAllMocks();
});

it('its VM is merged and moved by agents of its own user', async () => {
  const { uid, virsh, uri } = session;
  const pools: Record<string, string> = {};
  for (const pool of ['here', 'there']) {
    pools[pool] = await session.ownFolder(pool);
    await virsh('pool-define-as', pool, 'dir', '--target', pools[pool] ?? '');
    await virsh('pool-start', pool);
  }
  const disk = await createImage(join(pools['here'] ?? '', 'own.qcow2'));
  await execa('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 0 1M', disk]);
  await chown(disk, uid, uid);
  const file = join(await session.ownFolder('xml'), 'own.xml');
  await writeFile(file, vmXml('own', disk));
  await virsh('define', file);
  await virsh('start', 'own');
  await virsh('snapshot-create-as', 'own', 's1', '--disk-only');
  const up = await startRunningUp((folder) => asOrdinaryUser(folder, uid), uri);
  try {
    exitsWith(await up.blockflow('merge', 'own', 'vda'), 0);
    expect(await virsh('domblklist', 'own')).toContain(disk);
    expect(await up.blockflow('move', 'own', 'vda', '--to', 'there')).toMatchObject({
      exitCode: 0,
    });
    const moved = join(pools['there'] ?? '', 'own.qcow2');
    for (const args of [['own'], ['own', '--inactive']]) {
      expect(await virsh('domblklist', ...args)).toContain(moved);
    }
    // A workflow of its own deletes the source.
    const left = () => readdir(pools['here'] ?? '');
    await waitUntil('the source to go', async () => (await left()).length === 1);
    expect(await left()).toEqual(['.blockflow']);
    await execa('qemu-io', ['-U', '-r', '-f', 'qcow2', '-c', 'read -P 7 0 1M', moved]);
  } finally {
    await virsh('destroy', 'own');
    await up.close();
  }
}, 120_000);

it('its pools are not for the agents of another user, which say so', async () => {
  const folder = await session.ownFolder('images');
  await session.virsh('pool-define-as', 'images', 'dir', '--target', folder);
  await session.virsh('pool-start', 'images');
  const config = { libvirtUri: session.uri };
  const system = await startSystem({ name: 'session', roles: [], config });
  try {
    await expect(system.startRole('host')).rejects.toThrow('run the agents as that user');
  } finally {
    await system.close();
  }
});
