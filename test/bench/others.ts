/** What else the machine does: figures of a busy one say nothing of the code. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Row } from './figures.ts';

const MOST_PERCENT = 10;

/** Per cent of all processors that are busy for two seconds in which the bench only waits. */
export async function busyPercent(): Promise<number> {
  const before = await ticks();
  await sleep(2000);
  const after = await ticks();
  return Math.round(((after.busy - before.busy) / (after.all - before.all)) * 100);
}

async function ticks(): Promise<{ busy: number; all: number }> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n');
  const counts = line.split(/\s+/).slice(1, 9).map(Number);
  const all = counts.reduce((sum, count) => sum + count, 0);
  const [idle = 0, waiting = 0] = counts.slice(3, 5);
  return { busy: all - idle - waiting, all };
}

/** No row is judged beside processes that use more than a tenth of the machine. */
export const judged = (rows: readonly Row[], percent: number): Row[] =>
  percent <= MOST_PERCENT ? [...rows] : rows.map((row) => ({ ...row, met: null }));
