/** Hostile values, and one change of a valid value at a time, by a seed that a failure names. */
import fc from 'fast-check';

/** A cheap source of chance: millions of draws, each run again by its seed. */
export interface Chance {
  /** An integer from 0 to below this. */
  below(limit: number): number;
  pick<T>(list: readonly T[]): T;
}

export function createChance(seed: number): Chance {
  let state = seed >>> 0;
  // mulberry32
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return { below, pick: (list) => list[below(list.length)] as (typeof list)[number] };
}

/** What ends lines, words, paths, quotes and documents, or is no character at all. */
export const FRAGMENTS = [
  ...['\0', '\n', '\r', '\t', '\x1b', '\x7f', '\u0085', '\ud800', '\udfff', '\uffff', '\u2028'],
  ...[' ', "'", '"', '`', '\\', ';', '#', '|', '&', '$(id)', '${x}', '%s', '*', ',', '@', '--'],
  ...['/', '/..', '/../', '//', '/./', ':', 'json:', 'nbd:', 'file:', '<', '>', '&lt;', ']]>'],
];
const WORDS = [
  ...['', ' ', '-', '-rf', '--help', '.', '..', '/', '//', '/..', '../../etc/passwd', 'é', '日本'],
  ...['/etc/passwd', '/pools/../etc/passwd', '/dev/sda', '/pools/images/./a', 'a/b', '.blockflow'],
  ...['json:{"driver":"file","filename":"/etc/passwd"}', 'nbd://h/x', 'file:/etc/passwd', 'a:b'],
  ...['<a>&b;</a>', ']]>', '<!DOCTYPE a>', '&#0;', '$(id)', '; id', "' --key x", '__proto__'],
  ...['x'.repeat(300), `/${'x'.repeat(5000)}`, 'x'.repeat(50_000), 'é'.repeat(150), '1e999'],
  ...FRAGMENTS,
];
const OTHERS = [
  ...[null, undefined, true, false, NaN, Infinity, -Infinity, -0, -1, 0.5, 1, 2 ** 53, 1e308],
  ...[-(2 ** 31), [], {}, [null], [[]], { length: 1 }, { toString: 'x' }],
] as const;
const KEYS = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'extra', '', 'path\0', '0'];

/** Any JSON, drawn once: fast-check shapes it, the loops only pick. */
export const anyJson = (seed: number): readonly unknown[] =>
  fc.sample(fc.jsonValue({ maxDepth: 4 }), { seed, numRuns: 300 });

/** A string that one could take for this one. */
function mutateText(text: string, chance: Chance): string {
  const at = chance.below(text.length + 1);
  switch (chance.below(4)) {
    case 0:
      return chance.pick(WORDS);
    case 1:
      return text.slice(0, at);
    default:
      return text.slice(0, at) + chance.pick(FRAGMENTS) + text.slice(at);
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

/** The same value with one thing changed, somewhere in it; the original stays. */
export function mutate(value: unknown, chance: Chance): unknown {
  const keys = isObject(value) ? Object.keys(value) : [];
  if (isObject(value) && chance.below(8) > 0) {
    const key = keys[chance.below(keys.length)];
    // Down to a field; an empty object, or a field that goes, ends here.
    if (key !== undefined && chance.below(5) > 0) {
      return replace(value, key, mutate(value[key], chance));
    }
    return chance.below(2) === 0 ? replace(value, key ?? 'x') : withKey(value, chance);
  }
  if (typeof value === 'string' && chance.below(4) > 0) return mutateText(value, chance);
  return chance.below(2) === 0 ? chance.pick(WORDS) : chance.pick(OTHERS);
}

function replace(value: Record<string, unknown>, key: string, ...change: unknown[]): unknown {
  if (Array.isArray(value)) return value.toSpliced(Number(key), 1, ...change);
  if (change.length > 0) return { ...value, [key]: change[0] };
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
}

function withKey(value: Record<string, unknown>, chance: Chance): unknown {
  if (Array.isArray(value)) return [...(value as unknown[]), chance.pick(OTHERS)];
  const key = chance.pick(KEYS);
  // As JSON.parse makes it: an own property, also where its name is that of the prototype.
  const more = { value: chance.pick(OTHERS), enumerable: true, configurable: true, writable: true };
  return Object.defineProperty({ ...value }, key, more);
}
