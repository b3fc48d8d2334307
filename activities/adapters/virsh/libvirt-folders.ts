/**
 * libvirt's own folders. It fsyncs a changed XML file and renames it, but not the folder (libvirt
 * 9.0): flush the folder before you delete something because of that change.
 */
import { readFile, readdir, stat } from '../files/calls.ts';
import { join } from 'node:path';
import { run } from '../process/command.ts';
import { syncPath } from '../files/files.ts';

const DAEMONS = new Set(['libvirtd', 'virtqemud']);
/** What a daemon keeps of VMs, as this process reaches it. */
interface Folders {
  domains: string;
  snapshots: string;
}

interface Vm {
  name: string;
  uuid: string;
}

/** Makes the persistent XML and the snapshot metadata of a VM durable. */
export async function syncRecords(vm: Vm): Promise<void> {
  const folders = await foldersOf(vm);
  // Out of reach (another user's daemon): then everything is flushed.
  if (folders.length === 0) await run('sync', []);
  for (const folder of folders) await syncPath(folder);
}

/** Where the persistent XML of a VM is; null when that is out of reach. */
export const domainFolder = async (vm: Vm) => (await foldersOf(vm))[0] ?? null;

/** What the daemons had the last time: to look for them is to read all of /proc. */
let known: Folders[] = [];

async function foldersOf(vm: Vm): Promise<string[]> {
  const foldersIn = async (places: Folders[]) =>
    (await Promise.all(places.map((place) => foldersWith(place, vm)))).flat();
  const found = await foldersIn(known);
  if (found.length > 0) return found;
  known = await daemonFolders();
  return foldersIn(known);
}

async function daemonFolders(): Promise<Folders[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const names = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')),
  );
  const daemons = pids.filter((_, i) => DAEMONS.has(names[i]?.trim() ?? ''));
  const trusted = await Promise.all(daemons.map(isTrusted));
  const own = daemons.filter((_, i) => trusted[i]);
  return (await Promise.all(own.map(foldersOfDaemon))).flat();
}

/** Of the system or of this user: any user may give a process that name, and files of a VM. */
async function isTrusted(pid: string): Promise<boolean> {
  const uid = await stat(`/proc/${pid}`)
    .then((process) => process.uid)
    .catch(() => null);
  return uid === 0 || uid === process.getuid?.();
}

/**
 * Those of the system, and those of an ordinary user's session (`qemu:///session`). The daemon may
 * see other folders under these names than this process does.
 */
async function foldersOfDaemon(pid: string): Promise<Folders[]> {
  const root = `/proc/${pid}/root`;
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
  const variable = (name: string) =>
    new RegExp(`(?:^|\\0)${name}=([^\\0]+)`).exec(environment)?.[1] ?? null;
  const home = variable('HOME');
  const config = variable('XDG_CONFIG_HOME') ?? (home && join(home, '.config'));
  const session = config && join(root, config, 'libvirt/qemu');
  return [
    {
      domains: join(root, 'etc/libvirt/qemu'),
      snapshots: join(root, 'var/lib/libvirt/qemu/snapshot'),
    },
    ...(session ? [{ domains: session, snapshots: join(session, 'snapshot') }] : []),
  ];
}

async function foldersWith({ domains, snapshots }: Folders, vm: Vm): Promise<string[]> {
  const xml = await readFile(join(domains, `${vm.name}.xml`), 'utf8').catch(() => '');
  if (!xml.includes(`<uuid>${vm.uuid}</uuid>`)) return [];
  const own = join(snapshots, vm.name);
  const hasSnapshots = await readdir(own).then(
    () => true,
    () => false,
  );
  return hasSnapshots ? [domains, own] : [domains];
}
