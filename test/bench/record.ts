/**
 * What was measured, and when: `docs/proof/bench.json`, from which the tables of bench.md and the
 * pictures are made. A run of some parts leaves the others as they were measured.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { z } from 'zod';
import { row, table } from './figures.ts';

const measurement = z.strictObject({
  date: z.iso.date(),
  processor: z.string(),
  cores: z.int().positive(),
  /** Null for what was measured before it was noted. */
  node: z.string().nullable(),
  commit: z.string().nullable(),
  quick: z.boolean(),
  /** Per cent of the processors that others used. */
  others: z.number().nullable(),
  rows: z.array(row),
});
const record = z.record(z.string(), measurement);
export type Measurement = z.infer<typeof measurement>;
/** By the name of the part. */
export type Recorded = z.infer<typeof record>;

export const proofFile = (name: string) =>
  fileURLToPath(new URL(`../../docs/proof/${name}`, import.meta.url));

export const readRecord = async (): Promise<Recorded> =>
  record.parse(JSON.parse(await readFile(proofFile('bench.json'), 'utf8')));

export const writeRecord = (recorded: Recorded): Promise<void> =>
  writeFile(proofFile('bench.json'), `${JSON.stringify(record.parse(recorded), null, 2)}\n`);

/** This machine, and the code that is measured. */
export async function circumstances(quick: boolean): Promise<Omit<Measurement, 'rows' | 'others'>> {
  const { stdout: head } = await execa('git', ['describe', '--always', '--exclude=*']);
  // What parts that ran before have recorded is no other code.
  const beside = ['status', '--porcelain', '--', '.', ':!docs/proof'];
  const { stdout: changed } = await execa('git', beside);
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    node: process.version,
    commit: changed === '' ? head : `${head}-dirty`,
    quick,
  };
}

/** One table for each part, below what it was measured on. */
export function tablesOf(recorded: Recorded): string {
  const parts = Object.entries(recorded).map(([name, { rows, ...where }]) => {
    const { date, processor, cores, node, commit, quick, others } = where;
    const words = [
      ...[date, `${cores} × ${processor}`, ...(node === null ? [] : [`Node ${node}`])],
      ...[...(commit === null ? [] : [commit]), ...(quick ? ['quick run'] : [])],
      ...(others === null ? [] : [`others used ${others} %`]),
    ];
    return `\`${name}\`: ${words.join(', ')}\n\n${table(rows)}`;
  });
  return parts.join('\n\n');
}
