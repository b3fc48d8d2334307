/**
 * libvirt's own folders. It fsyncs a changed XML file and renames it, but not the folder (libvirt
 * 9.0): flush the folder before you delete something because of that change.
 */
import { open, readFile, readdir, stat } from '../files/calls.ts';
import { join } from 'node:path';
import { run } from '../process/command.ts';
import { syncPath } from '../files/files.ts';

const DAEMONS = new Set(['libvirtd', 'virtqemud']);
/** What a daemon keeps of VMs and of its settings, as this process reaches it. */
interface Folders {
  pid: string;
  domains: string;
  snapshots: string;
  saves: string;
  /** Of the VMs that run, also of those without a persistent XML. */
  statuses: string;
  settings: string;
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
  for (const { domains, snapshots } of folders) {
    await syncPath(domains);
    const own = join(snapshots, vm.name);
    const isThere = await readdir(own).then(
      () => true,
      () => false,
    );
    if (isThere) await syncPath(own);
  }
}

/** Where the persistent XML of a VM is; null when that is out of reach. */
export const domainFolder = async (vm: Vm) => (await foldersOf(vm))[0]?.domains ?? null;

/** More than the XML of any guest. */
const XML_BYTES = 16 * 2 ** 20;

/**
 * The XML in a saved guest that libvirt cannot read: behind a header, and before the guest's
 * memory, which holds any words.
 * @returns null when the file is out of reach, or has no whole XML (any more)
 */
export async function savedText(vm: Vm): Promise<string | null> {
  const [folders] = await foldersOf(vm);
  if (!folders) return null;
  const file = await open(join(folders.saves, `${vm.name}.save`), 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(XML_BYTES), 0, XML_BYTES, 0);
    const text = buffer.toString('utf8', 0, bytesRead);
    return /<domain\b.*?<\/domain>/s.exec(text)?.[0] ?? null;
  } finally {
    await file.close();
  }
}

/** What the daemons had the last time: to look for them is to read all of /proc. */
let known: Folders[] = [];

const foldersOf = (vm: Vm) =>
  fromDaemons(async (place) => ((await isNamedIn(place.domains, vm)) ? [place] : []));

/**
 * The process of the daemon that has this VM, and the folder of its settings; null when that is out
 * of reach.
 */
export async function daemonOf(vm: Vm): Promise<Pick<Folders, 'pid' | 'settings'> | null> {
  const [found] = await fromDaemons(async (place) => {
    const names = [place.statuses, place.domains].map((folder) => isNamedIn(folder, vm));
    return (await Promise.all(names)).includes(true) && (await isDaemon(place.pid)) ? [place] : [];
  });
  return found ?? null;
}

/** What the daemons have; they are looked for when those of the last time have none. */
async function fromDaemons<T>(look: (place: Folders) => Promise<T[]>): Promise<T[]> {
  const lookIn = async (places: Folders[]) => (await Promise.all(places.map(look))).flat();
  const found = await lookIn(known);
  if (found.length > 0) return found;
  known = await daemonFolders();
  return lookIn(known);
}

const isDaemon = async (pid: string) =>
  DAEMONS.has((await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim());

async function daemonFolders(): Promise<Folders[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const are = await Promise.all(pids.map(isDaemon));
  const daemons = pids.filter((_, i) => are[i]);
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
  const settings = config && join(root, config, 'libvirt');
  const runtime = variable('XDG_RUNTIME_DIR') ?? (home && join(home, '.cache'));
  const session = settings && {
    ...{ pid, settings, domains: join(settings, 'qemu') },
    snapshots: join(settings, 'qemu/snapshot'),
    saves: join(settings, 'qemu/save'),
    statuses: join(root, runtime ?? '', 'libvirt/qemu/run'),
  };
  return [
    {
      ...{ pid, settings: join(root, 'etc/libvirt'), domains: join(root, 'etc/libvirt/qemu') },
      snapshots: join(root, 'var/lib/libvirt/qemu/snapshot'),
      saves: join(root, 'var/lib/libvirt/qemu/save'),
      statuses: join(root, 'run/libvirt/qemu'),
    },
    ...(session ? [session] : []),
  ];
}

async function isNamedIn(folder: string, vm: Vm): Promise<boolean> {
  const xml = await readFile(join(folder, `${vm.name}.xml`), 'utf8').catch(() => '');
  return xml.includes(`<uuid>${vm.uuid}</uuid>`);
}
