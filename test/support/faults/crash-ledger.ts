/**
 * What the crash matrices have seen: one line a case that was run with all cases on, with the
 * commit it was run on. `npm run figures` makes docs/proof/crash-matrix.md of it.
 */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { runsAllCases } from '../sample.ts';
import type { Measured } from './stages/stage.ts';
import type { Matrix, Victim } from './strike-list.ts';

const file = fileURLToPath(new URL('../../crash/ledger.jsonl', import.meta.url));

export interface CrashCase extends Measured {
  matrix: Matrix;
  name: string;
  victim: Victim;
  passed: boolean;
  /** From the strike to the end of the operation, what was killed being started again at once. */
  recoveryMs: number | null;
}
export type Seen = CrashCase & { commit: string; date: string };

/** Appends a case; a plain `npm test`, which runs a sample, writes nothing. */
export async function keepInLedger(crash: CrashCase): Promise<void> {
  if (!runsAllCases) return;
  const { stdout } = await execa('git', ['rev-parse', '--short', 'HEAD'], { reject: false });
  const date = new Date().toISOString().slice(0, 10);
  await appendFile(file, `${JSON.stringify({ ...crash, commit: stdout || 'unknown', date })}\n`);
}

/** The newest line of each case; the others are dropped from the file, too. */
export async function compactLedger(): Promise<Seen[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const lines = text.split('\n').filter(Boolean);
  const newest = new Map<string, Seen>();
  for (const line of lines) {
    const seen = JSON.parse(line) as Seen;
    newest.set(`${seen.matrix} ${seen.name}`, seen);
  }
  const all = [...newest.values()];
  await writeFile(file, all.map((seen) => `${JSON.stringify(seen)}\n`).join(''));
  return all;
}
