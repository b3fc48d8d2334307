/**
 * The folder of a private host, and what may be found of it after its owner was killed.
 * Its name says who owns it: <pid>-<start time of that pid>-<name>-<random>.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, statfs, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import {
  argumentsOf,
  isAlive,
  killAndWait,
  mountSourcesOf,
  otherPids,
  programOf,
  startTimeOf,
} from './processes.ts';

/** Where hosts live unless told otherwise. Short: a socket path has at most 107 bytes. */
export const DEFAULT_HOSTS_FOLDER = '/tmp/blockflow-test';
/** One bundle of the workflows for all tests of one source. */
export const BUNDLES = join(DEFAULT_HOSTS_FOLDER, 'bundles');

const PROGRAMS_OF_A_HOST = /^(perl|libvirtd|virtlogd|virtlockd|dnsmasq|qemu-img|qemu-system-.*)$/;
/**
 * Blockflow's own processes on it; they see no private mounts, but name the host's state folder.
 */
const PROGRAMS_OF_BLOCKFLOW = /^(node|temporal.*|postgres)$/;

/** What of a host is in memory. */
const memoryOf = (root: string) => join('/dev/shm/blockflow-test', basename(root));

/** Makes an empty folder, owned by this process, and returns its path. */
export async function makeOwnFolder(parent: string, name: string): Promise<string> {
  const owner = `${process.pid}-${startTimeOf(process.pid)}`;
  const root = join(parent, `${owner}-${name}-${randomBytes(4).toString('hex')}`);
  await mkdir(root, { recursive: true });
  return root;
}

/**
 * Makes the empty folder of a new host, owned by this process, and returns its path.
 * @param etc an empty folder that it has as /etc/libvirt, default one of its own
 */
export async function makeHostFolder(
  parent: string,
  name: string,
  { etc }: { etc?: string } = {},
): Promise<string> {
  const root = await makeOwnFolder(parent, name);
  const folders = ['lib', 'cache', 'log', 'pools'];
  await Promise.all(folders.map((folder) => mkdir(join(root, folder))));
  // In memory, as /run is everywhere: libvirt flushes a file there at every change of a domain,
  // also between suspend and resume.
  await makeInMemory(root, 'run');
  // Nothing of the machine's own: its VMs and pools may be there to be started by themselves.
  if (etc === undefined) await mkdir(join(root, 'etc'));
  else await symlink(etc, join(root, 'etc'));
  await writeFile(join(root, 'etc/qemu.conf'), QEMU_CONF);
  await writeFile(join(root, 'etc/libvirtd.conf'), LIBVIRTD_CONF);
  // libvirt wants to write into /dev/kvm before it probes it. Mode 000 does not stop root, only
  // the read-only mount of this file over /dev/kvm does.
  await writeFile(join(root, 'no-kvm'), '', { mode: 0o000 });
  return root;
}

/**
 * Makes the folder that Temporal and the roles have their state in, and returns its path: in memory
 * where there is room, since Temporal flushes after every step. A process that is killed loses
 * nothing there either.
 */
export async function makeStateFolder(root: string, { onDisk = false } = {}): Promise<string> {
  await mkdir(memoryOf(root), { recursive: true });
  const { bavail, bsize } = await statfs(memoryOf(root));
  if (onDisk || bavail * bsize < 2 ** 30) await mkdir(join(root, 'state'));
  else await makeInMemory(root, 'state');
  return join(root, 'state');
}

async function makeInMemory(root: string, name: string): Promise<void> {
  const folder = join(memoryOf(root), name);
  await mkdir(folder, { recursive: true });
  await symlink(folder, join(root, name));
}

/**
 * Removes what killed runs left below `parent`: hosts whose owner is gone. Only processes that
 * belong to such a host are ended. Returns the folders removed. Safe to run in parallel.
 */
export async function reapStaleHosts(parent = DEFAULT_HOSTS_FOLDER): Promise<string[]> {
  if (!existsSync(parent)) return [];
  const stale = (await readdir(parent))
    .filter((folder) => {
      const [, pid, startTime] = /^(\d+)-(\d+)-/.exec(folder) ?? [];
      return pid !== undefined && !isAlive(Number(pid), Number(startTime));
    })
    .map((folder) => join(parent, folder));
  for (const root of stale) await removeHost(root);
  return stale;
}

/** Removes the hosts of this process, also those that are just being started. */
export async function removeOwnHosts(parent = DEFAULT_HOSTS_FOLDER): Promise<void> {
  const owner = `${process.pid}-${startTimeOf(process.pid)}-`;
  const folders = existsSync(parent) ? await readdir(parent) : [];
  for (const folder of folders)
    if (folder.startsWith(owner)) await removeHost(join(parent, folder));
}

/** Ends every process of the host and removes its folder. Its mounts go with its processes. */
export async function removeHost(root: string): Promise<void> {
  // A libvirtd that is just starting a QEMU may add one: look until nothing is left.
  for (let pids = processesOf(root); pids.length > 0; pids = processesOf(root)) {
    await Promise.all(pids.map((pid) => killAndWait(pid)));
  }
  for (const folder of [memoryOf(root), root]) {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * Pids of the daemons and QEMUs of a host: those that see its `run` folder as /run/libvirt. A
 * QEMU does not name its host on its command line, and may name another one's shared pool.
 * Also the Temporal server and the roles that keep their state in it.
 */
export function processesOf(root: string): number[] {
  const mounted = `/${basename(root)}/run`;
  return otherPids().filter((pid) => {
    const program = programOf(pid);
    if (PROGRAMS_OF_BLOCKFLOW.test(program)) return namesState(pid, root);
    // A copy of an image, which outlives its agent; its pid file is in the host's runtime folder.
    if (program === 'qemu-storage-daemon') return argumentsOf(pid).some((a) => a.startsWith(root));
    if (!PROGRAMS_OF_A_HOST.test(program)) return false;
    // The first process names the folder, and exists for a moment before the mounts do.
    if (program === 'perl') return argumentsOf(pid).includes(join(root, 'init.fifo'));
    return mountSourcesOf(pid).some((source) => source.endsWith(mounted));
  });
}

function namesState(pid: number, root: string): boolean {
  return argumentsOf(pid).some((argument) => argument.includes(join(root, 'state')));
}

/** Its user, and who owns what it opens, are those of Debian. */
const QEMU_CONF = `
namespaces = []
cgroup_controllers = []
user = "libvirt-qemu"
group = "kvm"
dynamic_ownership = 1
remember_owner = 1
security_driver = "none"
# QEMU opens serial files and its log itself, so that no virtlogd is needed (it would also
# rotate a serial file away at 2 MiB).
stdio_handler = "file"
`;

const LIBVIRTD_CONF = `
auth_unix_ro = "none"
auth_unix_rw = "none"
`;
