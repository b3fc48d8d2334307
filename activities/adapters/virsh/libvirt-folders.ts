/**
 * libvirt's own folders. It fsyncs a changed XML file and renames it, but not the folder (libvirt
 * 9.0): flush the folder before you delete something because of that change.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../process/command.ts';
import { syncPath } from '../files/files.ts';

const DAEMONS = new Set(['libvirtd', 'virtqemud']);
/** As the daemon sees them: system daemons, and those of an ordinary user's session. */
const SYSTEM = { domains: 'etc/libvirt/qemu', snapshots: 'var/lib/libvirt/qemu/snapshot' };

interface Vm {
  name: string;
  uuid: string;
}

/** Makes the persistent XML and the snapshot metadata of a VM durable. */
export async function syncRecords(vm: Vm): Promise<void> {
  const folders = await foldersOf(vm);
  // Out of reach (another user's daemon, a session's folders): then everything is flushed.
  if (folders.length === 0) await run('sync', []);
  for (const folder of folders) await syncPath(folder);
}

/** Where the persistent XML of a VM is; null when that is out of reach. */
export const domainFolder = async (vm: Vm) => (await foldersOf(vm))[0] ?? null;

/** Where the daemons were the last time: to look for them is to read all of /proc. */
let known: string[] = [];

async function foldersOf(vm: Vm): Promise<string[]> {
  const foldersIn = async (roots: string[]) =>
    (await Promise.all(roots.map((root) => foldersBelow(root, vm)))).flat();
  const found = await foldersIn(known);
  if (found.length > 0) return found;
  known = await daemonRoots();
  return foldersIn(known);
}

/** A daemon may see other folders under these names than this process does. */
async function daemonRoots(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const names = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')),
  );
  return pids
    .filter((_, i) => DAEMONS.has(names[i]?.trim() ?? ''))
    .map((pid) => `/proc/${pid}/root`);
}

async function foldersBelow(root: string, vm: Vm): Promise<string[]> {
  const domains = join(root, SYSTEM.domains);
  const xml = await readFile(join(domains, `${vm.name}.xml`), 'utf8').catch(() => '');
  if (!xml.includes(`<uuid>${vm.uuid}</uuid>`)) return [];
  const snapshots = join(root, SYSTEM.snapshots, vm.name);
  const hasSnapshots = await readdir(snapshots).then(
    () => true,
    () => false,
  );
  return hasSnapshots ? [domains, snapshots] : [domains];
}
