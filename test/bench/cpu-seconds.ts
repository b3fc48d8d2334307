import { readdir, readFile } from 'node:fs/promises';

/** User and system time of a process and of everything it started, in seconds. */
export async function cpuSeconds(root: number): Promise<number> {
  const stats = new Map<number, { parent: number; ticks: number }>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const text = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => null);
    if (text === null) continue;
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
    stats.set(Number(name), { parent: fields[1] ?? 0, ticks: utime + stime + cutime + cstime });
  }
  const below = (pid: number): number =>
    (stats.get(pid)?.ticks ?? 0) +
    [...stats].reduce((sum, [child, { parent }]) => sum + (parent === pid ? below(child) : 0), 0);
  return below(root) / 100;
}
