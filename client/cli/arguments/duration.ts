import { usage } from '../../library/failure.ts';

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Milliseconds of a short time: `200ms`, `2s`. @throws BlockflowError Usage */
export function parseShortTime(text: string): number {
  const [, count, unit = ''] = /^(\d{1,9})(ms|s)$/.exec(text.trim()) ?? [];
  const ms = Number(count) * (unit === 's' ? 1000 : 1);
  if (ms >= 1) return ms;
  throw usage(
    `reading the time ${JSON.stringify(text)}`,
    'it is no short time',
    'Give a number and a unit: 200ms, 2s',
  );
}

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
