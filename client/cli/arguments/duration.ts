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

const LONGEST_PAUSE_MS = 60_000;

/** Milliseconds for which a guest may stand still: `200`, `200ms`, `1s`. @throws BlockflowError */
export function parsePause(text: string): number {
  const [, count, unit] = /^(\d{1,6})(ms|s)?$/.exec(text.trim()) ?? [];
  const ms = Number(count) * (unit === 's' ? 1000 : 1);
  if (ms >= 1 && ms <= LONGEST_PAUSE_MS) return ms;
  throw usage(
    `reading the pause ${JSON.stringify(text)}`,
    'it is none of 1 ms to 60 s',
    'Give milliseconds, or a number and a unit: 200, 200ms, 1s',
  );
}
