/**
 * `up.json`: where the `blockflow up` of this machine is reached; clients on the machine read it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { hostName } from '../../workflows/operation/names.ts';

const upFile = z.object({
  pid: z.int().positive(),
  /** Start time of that process, so that another one with the same pid is not taken for it. */
  startTicks: z.string(),
  host: hostName,
  libvirtUri: z.string(),
  /** Null when `up` works with a Temporal server that is not its own. */
  temporal: z.object({ address: z.string(), uiUrl: z.string() }).nullable(),
});
export type UpFile = z.infer<typeof upFile>;

export const upFilePath = (stateDir: string) => join(stateDir, 'up.json');

/** What the last `up` wrote, dead or alive; null when there is nothing readable. */
export function readLastUpFile(stateDir: string): UpFile | null {
  try {
    return upFile.parse(JSON.parse(readFileSync(upFilePath(stateDir), 'utf8')));
  } catch {
    return null;
  }
}

/** What the running `up` wrote; null when none runs. */
export function readUpFile(stateDir: string): UpFile | null {
  const found = readLastUpFile(stateDir);
  return found && startTicksOf(found.pid) === found.startTicks ? found : null;
}

/** Start time of a process in clock ticks since boot; null when there is no such process. */
export function startTicksOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold spaces; field 22 is the 20th after it.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
