import { usage } from '../../library/failure.ts';

const FACTORS: Record<string, number> = { B: 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/**
 * Bytes per second of a RATE: MiB/s as in virsh, or with a unit (`512K`, `200M`, `1.5G`,
 * `10MiB/s`); 0 is no limit.
 * @throws BlockflowError Usage
 */
export function parseRate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([BKMGT])(?:iB|B)?(?:\/s)?)?$/i.exec(text.trim());
  if (!match) throw notRate(text, 'it is not a rate');
  const value = Number(match[1]);
  const bytes = Math.round(value * (FACTORS[match[2]?.toUpperCase() ?? 'M'] as number));
  if (!Number.isSafeInteger(bytes)) throw notRate(text, 'it is too large');
  // Rounded to 0 it would mean the opposite: no limit at all.
  if (bytes === 0 && value > 0) throw notRate(text, 'it is less than one byte per second');
  return bytes;
}

const notRate = (text: string, why: string) =>
  usage(
    `reading the rate ${JSON.stringify(text)}`,
    why,
    'Give MiB/s as in virsh, or a unit: 200, 200M, 1.5G, 512K; 0 for no limit',
  );
