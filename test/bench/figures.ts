/** Rows of the table, the statistics in them, and what pictures there are. */

import { z } from 'zod';

/** Title and axes. */
export const pictures = {
  'merges-by-size': { title: 'A merge by size', x: 'MiB in the layer', y: 'ms, median' },
  'history-by-duration': { title: 'History of a merge', x: 'seconds that it took', y: 'events' },
  'snapshots-by-disks': { title: 'A snapshot by disks', x: 'disks', y: 'ms, median' },
  'fleet-by-operations': { title: 'A fleet', x: 'operations at once', y: 'ended each second' },
} as const;
export type Picture = keyof typeof pictures;

/** One of a line in a picture. */
const point = z.strictObject({
  picture: z.enum(Object.keys(pictures) as [Picture]),
  line: z.string(),
  x: z.number(),
  y: z.number(),
});
export type Point = z.infer<typeof point>;

export const row = z.strictObject({
  what: z.string(),
  measured: z.string(),
  goal: z.string(),
  met: z.boolean().nullable(),
  points: z.array(point).optional(),
});
export type Row = z.infer<typeof row>;

/** Nearest-rank percentile; with few values the 99th is the largest. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil((p / 100) * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

export const median = (values: readonly number[]) => percentile(values, 50);
export const ms = (value: number) => `${Math.round(value)} ms`;

export function table(rows: readonly Row[]): string {
  const lines = rows.map(({ what, measured, goal, met }) => {
    const verdict = met === null ? '' : met ? 'met' : '**missed**';
    return `| ${what} | ${measured} | ${goal} | ${verdict} |`;
  });
  return ['| what | measured | goal | |', '|---|---|---|---|', ...lines].join('\n');
}
