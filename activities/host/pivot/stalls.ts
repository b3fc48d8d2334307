/**
 * For which the guest stood still at the last switches on this host: `STATE/stalls.json`, in
 * milliseconds a disk.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { readText, writeWhole } from '../../adapters/files/files.ts';

/** Before anything was measured: that of a commit, on a machine that is not loaded. */
const UNKNOWN_MS = 20;
const REMEMBERED = 20;

const measured = z.array(z.int().nonnegative()).max(REMEMBERED);
const fileOf = (stateDir: string) => join(stateDir, 'stalls.json');

async function read(stateDir: string): Promise<number[]> {
  const text = await readText(fileOf(stateDir)).catch(() => '[]');
  try {
    return measured.parse(JSON.parse(text));
  } catch {
    // It is an estimate: the next switch writes another one.
    return [];
  }
}

/** Never fails a switch that is done. */
export async function noteStall(stateDir: string, msOfEach: number): Promise<void> {
  const all = [...(await read(stateDir)), Math.ceil(msOfEach)].slice(-REMEMBERED);
  const text = JSON.stringify(all);
  await writeWhole(fileOf(stateDir), text, { ifThere: 'replace' }).catch(() => undefined);
}

/**
 * For how long disks that switch together may be waited for while the guest is suspended. The
 * switch itself takes time, too; where that is more than the guest may stand still, no less.
 * @param settleMs longest suspension; null where an orchestrator of the version before says none
 */
export async function budgetMs(
  stateDir: string,
  { settleMs, disks }: { settleMs: number | null; disks: number },
): Promise<number> {
  const asked = Math.ceil(((settleMs ?? UNSAID_MS) * 3) / 4);
  return Math.max(asked, Math.ceil(disks * (await stallOfEach(stateDir))));
}
const UNSAID_MS = 2000;

/** The median of what was measured. */
export async function stallOfEach(stateDir: string): Promise<number> {
  const all = (await read(stateDir)).sort((a, b) => a - b);
  return all[Math.floor(all.length / 2)] ?? UNKNOWN_MS;
}
