import { usage } from '../../library/failure.ts';

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds of a duration with a unit: `90s`, `30m`, `36h`, `7d`. @throws BlockflowError Usage */
export function parseDuration(text: string): number {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text.trim()) ?? [];
  const seconds = Number(count) * (SECONDS[unit] ?? NaN);
  if (seconds >= 1) return seconds;
  throw usage(
    `reading the duration ${JSON.stringify(text)}`,
    'it is not a duration',
    'Give a number and a unit: 90s, 30m, 36h, 7d',
  );
}
