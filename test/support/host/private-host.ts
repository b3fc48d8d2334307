/**
 * A libvirt host of its own: a mount namespace in which libvirtd sees private folders, so that
 * several hosts live on one machine and killing one never touches the user's libvirt.
 * host-init.pl holds the namespace, so libvirtd may be killed and started again in it.
 */
import { constants, existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, open, readdir, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { execa } from 'execa';

import { DEFAULT_HOSTS_FOLDER, makeHostFolder, reapStaleHosts, removeHost } from './host-folder.ts';
import { isAlive, killAndWait, programOf } from './processes.ts';
import { waitUntil } from '../wait-until.ts';

export { reapStaleHosts } from './host-folder.ts';

export interface PrivateHostOptions {
  /** Folder below which hosts are made, default /tmp/blockflow-test. */
  readonly root?: string;
  /** Goes into the folder's name, for people. */
  readonly name?: string;
  /** Empty folder that it has as /etc/libvirt, default one of its own. */
  readonly etc?: string;
}

const MOUNTS = {
  run: '/run/libvirt',
  lib: '/var/lib/libvirt',
  etc: '/etc/libvirt',
  cache: '/var/cache/libvirt',
  log: '/var/log/libvirt',
} as const;

/** Starts a host; needs root. Removes first what killed runs have left. Takes 0.2-2 s. */
export async function startPrivateHost(options: PrivateHostOptions = {}): Promise<PrivateHost> {
  const { root: parent = DEFAULT_HOSTS_FOLDER, name = 'host', ...more } = options;
  await reapStaleHosts(parent);
  const root = await makeHostFolder(parent, name, more);
  try {
    await makeNamespace(root);
    const host = new PrivateHost(root);
    await useCapabilitiesOf(parent, root);
    await host.startLibvirtd();
    await host.virsh('domcapabilities', '--virttype', 'qemu');
    await keepCapabilities(parent, root);
    return host;
  } catch (error) {
    await removeHost(root);
    throw error;
  }
}

/** A running private host. Ends with `close()`, or when a later start reaps it. */
export class PrivateHost {
  readonly uri: string;
  /** Everything of this host is below this folder. */
  readonly root: string;
  /** Folder for images; `definePool` makes its pools there. */
  readonly pools: string;

  constructor(root: string) {
    this.root = root;
    this.pools = join(root, 'pools');
    this.uri = `qemu+unix:///system?socket=${join(root, 'run/libvirt-sock')}`;
  }

  /** Pid of libvirtd; throws when it does not run. */
  libvirtdPid(): number {
    const pid = readPid(join(this.root, 'libvirtd.pid'));
    if (pid === undefined || !isAlive(pid) || programOf(pid) !== 'libvirtd') {
      throw new Error(`libvirtd of ${this.root} does not run`);
    }
    return pid;
  }

  libvirtdRuns(): boolean {
    const pid = readPid(join(this.root, 'libvirtd.pid'));
    return pid !== undefined && isAlive(pid) && programOf(pid) === 'libvirtd';
  }

  /** SIGKILL to libvirtd, nothing else; returns when it is gone. Guests go on running. */
  async killLibvirtd(): Promise<void> {
    await killAndWait(this.libvirtdPid());
  }

  /** Starts libvirtd in the namespace of this host; returns when it answers. */
  async startLibvirtd(): Promise<void> {
    // Without a reader (the host was closed) a fifo opened so is an error, not a wait.
    const flags = constants.O_WRONLY | constants.O_NONBLOCK;
    const orders = await open(join(this.root, 'init.fifo'), flags);
    await orders.write('start\n');
    await orders.close();
    await waitUntil(`libvirtd of ${this.root} to answer`, async () => {
      return (await execa('virsh', ['-c', this.uri, 'uri'], { reject: false })).exitCode === 0;
    });
  }

  /** Ends libvirtd as an upgrade does (SIGTERM) and starts it again. */
  async restart(): Promise<void> {
    await killAndWait(this.libvirtdPid(), 'SIGTERM');
    await this.startLibvirtd();
  }

  /** Runs virsh with these arguments on this host; returns stdout, throws on failure. */
  async virsh(...args: string[]): Promise<string> {
    return (await execa('virsh', ['-c', this.uri, ...args])).stdout;
  }

  /**
   * Defines and starts a folder pool, and returns its path: `path`, or a new folder of this
   * host. Give the path of another host's pool to share it.
   */
  async definePool(name: string, path = join(this.pools, name)): Promise<string> {
    await mkdir(path, { recursive: true });
    await this.virsh('pool-define-as', name, 'dir', '--target', path);
    await this.virsh('pool-start', name);
    await this.virsh('pool-autostart', name);
    return path;
  }

  /** Pid of the QEMU of a VM, also while libvirtd is dead; throws when there is none. */
  qemuPid(vm: string): number {
    const pid = readPid(join(this.root, 'run/qemu', `${vm}.pid`));
    if (pid === undefined || !isAlive(pid) || !programOf(pid).startsWith('qemu-system-')) {
      throw new Error(`no QEMU runs for ${vm} on ${this.root}`);
    }
    return pid;
  }

  /** SIGKILL to the QEMU of a VM; returns when it is gone and libvirtd, if it lives, knows. */
  async killQemu(vm: string): Promise<void> {
    await killAndWait(this.qemuPid(vm));
    await waitUntil(`${vm} to be shut off`, async () => {
      const state = await execa('virsh', ['-c', this.uri, 'domstate', vm], { reject: false });
      return state.exitCode !== 0 || state.stdout.trim() === 'shut off';
    });
  }

  /** Ends guests and daemons at once (SIGKILL), and removes mounts and the folder. */
  async close(): Promise<void> {
    await removeHost(this.root);
  }
}

/** Starts the first process of the host in a namespace of its own, and mounts the folders. */
async function makeNamespace(root: string): Promise<void> {
  const fifo = join(root, 'init.fifo');
  const program = fileURLToPath(new URL('host-init.pl', import.meta.url));
  const init = execa(
    'unshare',
    [
      '--mount',
      '--propagation',
      'private',
      'perl',
      program,
      fifo,
      'libvirtd',
      '--daemon',
      '--pid-file',
      join(root, 'libvirtd.pid'),
    ],
    { detached: true, stdio: 'ignore', cleanup: false, reject: false },
  );
  init.nodeChildProcess.unref();
  await waitUntil('the mount namespace (root is needed)', () => existsSync(fifo), {
    intervalMs: 5,
  });
  const inside = (...args: string[]) =>
    execa('nsenter', ['--target', `${init.pid}`, '--mount', 'mount', ...args]);
  for (const [folder, target] of Object.entries(MOUNTS)) {
    // /run is empty after each boot; without systemd a first libvirtd would make its folder there.
    await mkdir(target, { recursive: true });
    await inside('--bind', join(root, folder), target);
  }
  if (existsSync('/dev/kvm')) {
    await inside('--bind', join(root, 'no-kvm'), '/dev/kvm');
    await inside('-o', 'remount,bind,ro', '/dev/kvm');
  }
}

/** Probing QEMU takes 1.5 s, so hosts hand on the result; libvirt itself checks that it fits. */
async function useCapabilitiesOf(parent: string, root: string): Promise<void> {
  const target = join(root, 'cache/qemu/capabilities');
  await mkdir(target, { recursive: true });
  const kept = join(parent, 'capabilities');
  for (const file of existsSync(kept) ? await readdir(kept) : []) {
    if (file.endsWith('.xml')) await copyFile(join(kept, file), join(target, file));
  }
}

async function keepCapabilities(parent: string, root: string): Promise<void> {
  const source = join(root, 'cache/qemu/capabilities');
  const kept = join(parent, 'capabilities');
  await mkdir(kept, { recursive: true });
  for (const file of await readdir(source)) {
    const draft = join(kept, `${file}.${basename(root)}`);
    await copyFile(join(source, file), draft);
    await rename(draft, join(kept, file));
  }
}

function readPid(path: string): number | undefined {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
