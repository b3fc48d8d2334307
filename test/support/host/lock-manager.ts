/** libvirt's own lock manager on a private host: virtlockd, which leases the disks of its VMs. */
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { PrivateHost } from './private-host.ts';
import { killAndWait } from './processes.ts';

const pidFile = (host: PrivateHost) => join(host.root, 'virtlockd.pid');

/** It ends with the host. */
export async function startVirtlockd(host: PrivateHost): Promise<void> {
  const inside = ['--target', `${host.libvirtdPid()}`, '--mount'];
  await execa('nsenter', [...inside, 'virtlockd', '--daemon', '--pid-file', pidFile(host)]);
}

/** Nothing leases anything, or resumes a guest, until it is started again. */
export async function killVirtlockd(host: PrivateHost): Promise<void> {
  await killAndWait(Number(await readFile(pidFile(host), 'utf8')));
}

/** libvirtd starts again with it. */
export async function startLockManager(host: PrivateHost): Promise<void> {
  await startVirtlockd(host);
  await appendFile(join(host.root, 'etc/qemu.conf'), 'lock_manager = "lockd"\n');
  await host.restart();
}

/** Settings of its plugin, as the file has them: libvirtd reads it when it starts. */
export async function setLeases(host: PrivateHost, disks: 'all' | 'none'): Promise<void> {
  const file = join(host.root, 'etc/qemu-lockd.conf');
  if (disks === 'all') await rm(file, { force: true });
  else await writeFile(file, 'auto_disk_leases = 0\nrequire_lease_for_disks = 0\n');
}
