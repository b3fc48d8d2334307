/** The libvirt of an ordinary user's session (`qemu:///session`), in a folder of its own. */
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { killAndWait } from './processes.ts';
import { waitUntil } from '../wait-until.ts';

/** libvirt wants a user that has a name, and this one has. */
const OTHER_USER = 65534;

export interface SessionLibvirt {
  uri: string;
  uid: number;
  virsh(...args: string[]): Promise<string>;
  /** A folder of that user. */
  ownFolder(name: string): Promise<string>;
  close(): Promise<void>;
}

/** Needs root. One that a killed run has left ends by itself. */
export async function startSessionLibvirt(): Promise<SessionLibvirt> {
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-session-'));
  await chown(folder, OTHER_USER, OTHER_USER);
  const ownFolder = async (name: string) => {
    const path = join(folder, name);
    await mkdir(path);
    await chown(path, OTHER_USER, OTHER_USER);
    return path;
  };
  const run = await ownFolder('run');
  const env = {
    ...{ HOME: folder, XDG_RUNTIME_DIR: run, XDG_CACHE_HOME: await ownFolder('cache') },
    XDG_CONFIG_HOME: await ownFolder('config'),
  };
  await mkdir(join(env.XDG_CONFIG_HOME, 'libvirt'));
  // No virtlogd, which would outlive the daemon.
  await writeFile(join(env.XDG_CONFIG_HOME, 'libvirt/qemu.conf'), 'stdio_handler = "file"\n');
  await chown(join(env.XDG_CONFIG_HOME, 'libvirt'), OTHER_USER, OTHER_USER);
  const user = [`--reuid=${OTHER_USER}`, `--regid=${OTHER_USER}`, '--clear-groups'];
  const pidFile = join(run, 'libvirtd.pid');
  const daemon = ['libvirtd', '--daemon', '--timeout', '120', '--pid-file', pidFile];
  await execa('setpriv', [...user, ...daemon], { env, stdio: 'ignore' });
  const uri = `qemu+unix:///session?socket=${join(run, 'libvirt/libvirt-sock')}`;
  const virsh = async (...args: string[]) => (await execa('virsh', ['-c', uri, ...args])).stdout;
  await waitUntil('libvirtd of the session', () => virsh('uri').catch(() => false as const));
  return {
    uri,
    uid: OTHER_USER,
    virsh,
    ownFolder,
    async close() {
      await killAndWait(Number(await readFile(pidFile, 'utf8')), 'SIGTERM');
      await rm(folder, { recursive: true });
    },
  };
}
