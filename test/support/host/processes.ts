/** What /proc says about processes. A pid alone is not an identity: its start time is added. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

import { waitUntil } from '../wait-until.ts';

/** Start time in clock ticks since boot; undefined when there is no such process, or a zombie. */
export function startTimeOf(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field is a name in parentheses that may hold anything, so count from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19]);
}

/** True while the process lives (a zombie does not). */
export function isAlive(pid: number, startTime = startTimeOf(pid)): boolean {
  return startTime !== undefined && startTimeOf(pid) === startTime;
}

/** True while the process is stopped by a signal. */
export function isPaused(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`) ?? '';
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
}

/** File name of the program, '' when it cannot be told. */
export function programOf(pid: number): string {
  return basename(link(`/proc/${pid}/exe`) ?? '').replace(/ \(deleted\)$/, '');
}

/** Arguments of the process, [] when it is gone. */
export function argumentsOf(pid: number): string[] {
  return (read(`/proc/${pid}/cmdline`) ?? '').split('\0').slice(0, -1);
}

/** Paths of what the process has open, [] when it is gone. */
export function openPathsOf(pid: number): string[] {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).map((fd) => link(`${folder}/${fd}`) ?? '');
  } catch {
    return [];
  }
}

/** Folders, as paths in their file systems, that the process sees mounted somewhere. */
export function mountSourcesOf(pid: number): string[] {
  const mounts = (read(`/proc/${pid}/mountinfo`) ?? '').split('\n');
  return mounts.map((mount) => mount.split(' ')[3] ?? '').map((s) => s.replace(/\/\/deleted$/, ''));
}

/** All pids of this machine, without our own. */
export function otherPids(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid);
}

/** Sends SIGKILL (or another signal) and waits until the process and all its threads are gone. */
export async function killAndWait(pid: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const startTime = startTimeOf(pid);
  if (startTime === undefined) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await waitUntil(`process ${pid} to end after ${signal}`, () => !isAlive(pid, startTime), {
    timeoutMs: 20_000,
    intervalMs: 5,
  });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
