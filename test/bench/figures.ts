/** Rows of the table, the statistics in them, and what pictures there are. */

/** Title and axes. */
export const pictures = {
  'merges-by-size': { title: 'A merge by size', x: 'MiB in the layer', y: 'ms, median' },
  'history-by-duration': { title: 'History of a merge', x: 'seconds that it took', y: 'events' },
  'snapshots-by-disks': { title: 'A snapshot by disks', x: 'disks', y: 'ms, median' },
} as const;
export type Picture = keyof typeof pictures;

/** One of a line in a picture. */
export interface Point {
  picture: Picture;
  line: string;
  x: number;
  y: number;
}

export interface Row {
  what: string;
  measured: string;
  goal: string;
  met: boolean | null;
  points?: Point[] | undefined;
}

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
