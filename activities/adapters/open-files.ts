/**
 * What a QEMU process has open, read from /proc: the untainted proof (a QMP query would taint the
 * domain for life).
 */
import { readFile, readdir, stat } from 'node:fs/promises';

export interface OpenFile {
  identity: string;
  writable: boolean;
}

/** Process id of the domain's QEMU, found by the UUID on its command line; null when none runs. */
export async function findQemu(uuid: string): Promise<number | null> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const cmdline = await readFile(`/proc/${name}/cmdline`, 'latin1').catch(() => '');
    const args = cmdline.split('\0');
    if (args[args.indexOf('-uuid') + 1] === uuid && args.includes('-uuid')) return Number(name);
  }
  return null;
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
