/**
 * What a QEMU process has open, read from /proc: the untainted proof (a QMP query would taint the
 * domain for life).
 */
import { readFileSync } from 'node:fs';
import { readFile, readdir, stat } from 'node:fs/promises';

export interface OpenFile {
  identity: string;
  writable: boolean;
}

/**
 * Process id of the domain's QEMU, found by the UUID on its command line; null when none runs. Read
 * at once: hundreds of small reads in turn would take longer than the rest of a plan.
 */
export async function findQemu(uuid: string): Promise<number | null> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return pids.map(Number).find((pid) => uuidOf(pid) === uuid) ?? null;
}

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
