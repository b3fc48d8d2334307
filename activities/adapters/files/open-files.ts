/**
 * Who has a file open, read from /proc: of a QEMU the untainted proof (a QMP query would taint the
 * domain for life), of any other program the only one, as it takes none of QEMU's locks.
 */
import { readFileSync } from 'node:fs';
import { readFile, readdir, readlink, stat } from './calls.ts';
import { join } from 'node:path';
import { observeFile } from './files.ts';
import {
  deviceOfPath,
  devicesOf,
  isForeign,
  mountIdOf,
  mountsOf,
  type Devices,
  type Mounts,
} from './mounts.ts';
import { unlessSilent } from '../process/asking.ts';

export interface OpenFile {
  identity: string;
  writable: boolean;
}

/**
 * Process id of the domain's QEMU, found by the UUID on its command line; null when none runs. Read
 * at once: hundreds of small reads in turn would take longer than the rest of a plan.
 */
export async function findQemu(uuid: string): Promise<number | null> {
  const [first = null] = await qemusOf(uuid);
  return first;
}

/** Any process may call itself so. */
const qemusOf = async (uuid: string) => (await allPids()).filter((pid) => uuidOf(pid) === uuid);

/**
 * What the domain's QEMU has open; null when none runs. Of several processes all count, so that one
 * which only pretends to be it hides nothing.
 * @param wanted as of `openFiles`
 */
export async function openByQemu(
  uuid: string,
  wanted?: ReadonlySet<string>,
): Promise<OpenFile[] | null> {
  const pids = await qemusOf(uuid);
  if (pids.length === 0) return null;
  return (await Promise.all(pids.map((pid) => openFiles(pid, wanted)))).flat();
}

const allPids = async () =>
  (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);

function uuidOf(pid: number): string | null {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
    return args.includes('-uuid') ? (args[args.indexOf('-uuid') + 1] ?? null) : null;
  } catch {
    return null;
  }
}

/**
 * Regular files and devices that a process has open; empty when the process is gone.
 * @param wanted those that matter; default all
 */
export function openFiles(pid: number, wanted?: ReadonlySet<string>): Promise<OpenFile[]> {
  return openAmong(pid, wanted && placed(wanted));
}

function openAmong(pid: number, wanted?: Wanted): Promise<OpenFile[]> {
  return ofDescriptors(pid, async (fd) => {
    const [identity, access] = await Promise.all([openedAs(pid, fd, wanted), accessOf(pid, fd)]);
    return identity === null ? null : { identity, writable: access !== READ_ONLY };
  });
}

/**
 * What QEMU writes: names of the files that it has open for reading and writing at once, which are
 * its images. Its logs and serial files are open for writing only.
 */
export async function imagesWritten(pid: number): Promise<string[]> {
  const found = await ofDescriptors(pid, async (fd) => {
    const [identity, access] = await Promise.all([openedAs(pid, fd), accessOf(pid, fd)]);
    return identity === null || access !== READ_WRITE ? null : readlink(`/proc/${pid}/fd/${fd}`);
  });
  return [...new Set(found)];
}

const [READ_ONLY, READ_WRITE] = [0, 2];

/** The access mode of `open`. */
async function accessOf(pid: number, fd: string): Promise<number> {
  return parseInt(/^flags:\s+(\d+)/m.exec(await infoOf(pid, fd))?.[1] ?? '0', 8) & 3;
}

/** The kernel's own words: no file system is asked for them. */
const infoOf = (pid: number, fd: string) =>
  readFile(`/proc/${pid}/fdinfo/${fd}`, 'latin1').catch(() => '');

async function ofDescriptors<T>(pid: number, look: (fd: string) => Promise<T | null>) {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  return (await Promise.all(descriptors.map(look))).flatMap((found) => found ?? []);
}

/** Files that are looked for, and where: no other file system is asked, as it may hang. */
interface Wanted {
  files: ReadonlySet<string>;
  mounts: Mounts;
  /** As a process sees them, which may be in a namespace of its own; read once. */
  mountsOfProcess: (pid: number) => Mounts;
  /** Null where all are asked. */
  devices: Devices;
}

function placed(files: ReadonlySet<string>): Wanted {
  const mounts = mountsOf('self');
  const read = new Map<number, Mounts>();
  const mountsOfProcess = (pid: number) => {
    const list = read.get(pid) ?? mountsOf(pid);
    read.set(pid, list);
    return list;
  };
  return { files, mounts, mountsOfProcess, devices: devicesOf(files, mounts) };
}

/** What was opened by a mount that is not in the lists may be anywhere. */
function isElsewhere(wanted: Wanted, pid: number, fd: string): boolean {
  const { devices, mounts, mountsOfProcess } = wanted;
  // Nothing is read where all are asked.
  if (!devices) return false;
  const id = mountIdOf(pid, fd) ?? '';
  const device = mounts.byId.get(id) ?? mountsOfProcess(pid).byId.get(id);
  return isForeign(devices, device);
}

/**
 * The identity of a regular file or device; null for anything else, nothing any more, or what is
 * on another file system than those that are wanted.
 * @throws Retry `storage-silent`: what is open there may be what is looked for
 */
async function openedAs(pid: number, fd: string, wanted?: Wanted): Promise<string | null> {
  if (wanted && isElsewhere(wanted, pid, fd)) return null;
  const s = await stat(`/proc/${pid}/fd/${fd}`, { bigint: true })
    .catch(unlessSilent(null))
    .catch(async (silence: unknown) => {
      if (!wanted || (await mayBe(wanted, pid, fd))) throw silence;
      return null;
    });
  return s?.isFile() || s?.isBlockDevice() ? `${s.dev}:${s.ino}` : null;
}

/** By the inode's number, which Linux tells since 5.14. */
async function mayBe({ files }: Wanted, pid: number, fd: string): Promise<boolean> {
  const [, inode] = /^ino:\s+(\d+)/m.exec(await infoOf(pid, fd)) ?? [];
  return inode === undefined || [...files].some((identity) => identity.endsWith(`:${inode}`));
}

/** A file and who has it open, in words. */
export interface Opener {
  identity: string;
  by: string;
}

/** QEMU's programs lock what they write to, so they are seen by that. */
export type Access = 'any' | 'writing' | 'writing-unlocked';

/**
 * The first process of this host, or loop device, that has one of the files open; null when there
 * is none. Other hosts of a shared pool are not seen.
 */
export async function findOpener(
  files: ReadonlySet<string>,
  access: Access = 'any',
): Promise<Opener | null> {
  const wanted = placed(files);
  for (const pid of await allPids()) {
    if (access === 'writing-unlocked' && programOf(pid).startsWith('qemu-')) continue;
    const opened =
      access === 'any'
        ? await ofDescriptors(pid, (fd) => openedAs(pid, fd, wanted))
        : await written(pid, wanted);
    const identity = opened.find((file) => files.has(file));
    if (identity !== undefined) return { identity, by: `process ${pid} (${programOf(pid)})` };
  }
  return findLoopDevice(wanted, access);
}

const written = async (pid: number, wanted: Wanted) =>
  (await openAmong(pid, wanted)).filter(({ writable }) => writable).map(({ identity }) => identity);

function programOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return 'it has already ended';
  }
}

/** The kernel holds what is below a loop device, by no descriptor. */
async function findLoopDevice(wanted: Wanted, access: Access): Promise<Opener | null> {
  const { files, mounts } = wanted;
  const names = await readdir('/sys/block').catch(() => []);
  for (const name of names.filter((each) => each.startsWith('loop'))) {
    const text = readFile(join('/sys/block', name, 'loop/backing_file'), 'utf8');
    const path = (await text.catch(() => '')).trimEnd();
    if (path === '' || isForeign(wanted.devices, deviceOfPath(mounts, path))) continue;
    const file = await observeFile(path).catch(unlessSilent(null));
    if (!file || !files.has(file.identity)) continue;
    if (access !== 'any' && (await isReadOnly(name))) continue;
    return { identity: file.identity, by: `loop device ${name}` };
  }
  return null;
}

const isReadOnly = async (device: string) =>
  (await readFile(join('/sys/block', device, 'ro'), 'utf8').catch(() => '0')).startsWith('1');
