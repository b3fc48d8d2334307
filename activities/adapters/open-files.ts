/**
 * Who has a file open, read from /proc: of a QEMU the untainted proof (a QMP query would taint the
 * domain for life), of any other program the only one, as it takes none of QEMU's locks.
 */
import { readFileSync } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface OpenFile {
  identity: string;
  writable: boolean;
}

/**
 * Process id of the domain's QEMU, found by the UUID on its command line; null when none runs. Read
 * at once: hundreds of small reads in turn would take longer than the rest of a plan.
 */
export async function findQemu(uuid: string): Promise<number | null> {
  return (await allPids()).find((pid) => uuidOf(pid) === uuid) ?? null;
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

/** Regular files and devices that a process has open; empty when the process is gone. */
export async function openFiles(pid: number): Promise<OpenFile[]> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const files = await Promise.all(descriptors.map((fd) => openFile(pid, fd)));
  return files.flatMap((file) => file ?? []);
}

async function openFile(pid: number, fd: string): Promise<OpenFile | null> {
  const [s, text] = await Promise.all([
    stat(`/proc/${pid}/fd/${fd}`, { bigint: true }).catch(() => null),
    readFile(`/proc/${pid}/fdinfo/${fd}`, 'latin1').catch(() => ''),
  ]);
  if (!s?.isFile() && !s?.isBlockDevice()) return null;
  const flags = parseInt(/^flags:\s+(\d+)/m.exec(text)?.[1] ?? '0', 8);
  return { identity: `${s.dev}:${s.ino}`, writable: (flags & 3) !== 0 };
}

/** A file and who has it open, in words. */
export interface Opener {
  identity: string;
  by: string;
}

/**
 * The first process of this host, or loop device, that has one of the files open; null when there
 * is none. Other hosts of a shared pool are not seen.
 */
export async function findOpener(files: ReadonlySet<string>): Promise<Opener | null> {
  for (const pid of await allPids()) {
    const found = (await openFiles(pid)).find(({ identity }) => files.has(identity));
    if (found) return { identity: found.identity, by: `process ${pid} (${programOf(pid)})` };
  }
  return findLoopDevice(files);
}

function programOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return 'it has ended by now';
  }
}

/** The kernel holds what is below a loop device, by no descriptor. */
async function findLoopDevice(files: ReadonlySet<string>): Promise<Opener | null> {
  const names = await readdir('/sys/block').catch(() => []);
  for (const name of names.filter((each) => each.startsWith('loop'))) {
    const text = readFile(join('/sys/block', name, 'loop/backing_file'), 'utf8');
    const path = (await text.catch(() => '')).trimEnd();
    const facts = path && (await stat(path, { bigint: true }).catch(() => null));
    const identity = facts ? `${facts.dev}:${facts.ino}` : '';
    if (files.has(identity)) return { identity, by: `loop device ${name}` };
  }
  return null;
}
