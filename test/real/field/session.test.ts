/**
 * The libvirt of an ordinary user (`qemu:///session`): the records of its VMs are found where that
 * user's daemon keeps them, and the agents of another user do not start for it.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, jest } from '@jest/globals';
import { domainFolder, syncRecords } from '../../../activities/adapters/virsh/libvirt-folders.ts';
import { createImage } from '../../support/guest/shut-off-vm.ts';
import { startSessionLibvirt } from '../../support/host/session-libvirt.ts';
import { startSystem } from '../../support/host/system.ts';
import { use } from '../../support/use.ts';

const session = use('the session', startSessionLibvirt);

it('its records are found by agents of the same user only, and flushed', async () => {
  const folder = await session.ownFolder('found');
  const disk = await createImage(join(folder, 'disk'));
  const file = join(folder, 'vm.xml');
  await writeFile(
    file,
    `<domain type='qemu'><name>found</name><memory unit='MiB'>16</memory>
     <os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
     <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${disk}'/>
     <target dev='vda' bus='virtio'/></disk></devices></domain>`,
  );
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
