/**
 * The shapes of requests for the workflows' own look at them: the same as the zod schemas, which a
 * workflow does not load. `test/input/requests.test.ts` holds the two together.
 */
import {
  DISK_TARGET,
  FILE_IDENTITY,
  FILE_NAME,
  FILE_NAME_BYTES,
  FOUND_FILE_NAME,
  HOST_NAME,
  LIBVIRT_NAME,
  PLAIN_TEXT,
  utf8Length,
  UUID,
  VOLUME_NAME,
  VOLUME_PATH,
} from './name-patterns.ts';

type Rule = (value: unknown) => boolean;
interface Field {
  is: Rule;
  /** What stands for a missing value; a field without it must be there. */
  or?: { value: unknown };
}
export type Shape = Record<string, Field>;

const text =
  (pattern: RegExp, max = Infinity, min = 0): Rule =>
  (value) =>
    typeof value === 'string' && value.length >= min && value.length <= max && pattern.test(value);
const oneOf =
  (...words: string[]): Rule =>
  (value) =>
    words.includes(value as string);
const either =
  (...rules: Rule[]): Rule =>
  (value) =>
    rules.some((is) => is(value));
const isNull: Rule = (value) => value === null;
const isFlag: Rule = (value) => typeof value === 'boolean';
const isSize: Rule = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isFileName: Rule = (value) =>
  text(FILE_NAME)(value) && utf8Length(value as string) <= FILE_NAME_BYTES;
const object =
  (shape: Shape): Rule =>
  (value) =>
    faultsOf(shape, value).length === 0;
const list =
  (is: Rule, min = 0): Rule =>
  (value) =>
    Array.isArray(value) && value.length >= min && value.every(is);

const must = (is: Rule): Field => ({ is });
const may = (is: Rule): Field => ({ is, or: { value: undefined } });
const byDefault = (is: Rule, value: unknown): Field => ({ is, or: { value } });

const vm = must(text(LIBVIRT_NAME, 255, 1));
const disk = must(text(DISK_TARGET));
const host = must(text(HOST_NAME));
const pool = must(text(LIBVIRT_NAME, 255, 1));
const volume = must(isFileName);
const foundVolume = must(text(FOUND_FILE_NAME, 255));
const format = must(oneOf('raw', 'qcow2'));
const flag = byDefault(isFlag, false);
const limit = byDefault(isSize, 0);
const requestedBy = byDefault(text(PLAIN_TEXT, 1000), 'unknown');

export const diskShape = { vm, disk, host };
export const hostShape = { host };
export const eventsShape = {
  vm: may(text(LIBVIRT_NAME, 255, 1)),
  disk: may(text(PLAIN_TEXT, 255, 1)),
  limit: must(isSize),
};
export const mergeShape = {
  ...diskShape,
  top: may(text(VOLUME_NAME, 4096, 1)),
  base: may(text(VOLUME_NAME, 4096, 1)),
  snapshot: may(text(PLAIN_TEXT, 255, 1)),
  shallow: flag,
  bandwidthBytesPerSecond: limit,
  keepOverlay: flag,
  keepRelative: flag,
  keepVolumes: flag,
  ifBusy: byDefault(oneOf('wait', 'refuse'), 'refuse'),
  onVmStop: byDefault(oneOf('fail', 'continue'), 'fail'),
  waitForDecision: flag,
  requestedBy,
};
const image = either(
  object({ kind: must(oneOf('disk')), vm, disk }),
  object({ kind: must(oneOf('volume')), pool, volume, format }),
);
const transferShape = {
  host,
  image: must(image),
  to: pool,
  format: byDefault(oneOf('keep', 'qcow2', 'raw'), 'keep'),
  preallocation: byDefault(oneOf('off', 'metadata', 'falloc', 'full'), 'off'),
  ifExists: byDefault(oneOf('refuse'), 'refuse'),
  bandwidthBytesPerSecond: limit,
  verify: byDefault(oneOf('full', 'none'), 'full'),
  requestedBy,
};
export const moveShape = { ...transferShape, wipe: flag };
export const copyShape = { ...transferShape, name: may(isFileName) };
export const planShape = (operation: unknown) => ({
  ...(operation === 'MoveImage' ? moveShape : copyShape),
  operation: must(oneOf('MoveImage', 'CopyImage')),
});
const named = object({
  path: must(text(VOLUME_PATH, 4096)),
  pool: must(text(PLAIN_TEXT, 1000)),
  identity: must(text(FILE_IDENTITY)),
});
const to = object({
  pool,
  folder: must(text(VOLUME_PATH, 4096)),
  identity: must(text(FILE_IDENTITY)),
});
const copies = object({
  jobId: must(text(UUID)),
  owners: must(list(text(UUID), 1)),
  to: must(to),
});
const left = object({ jobId: must(text(UUID)), volumes: must(list(named)) });
/** What a move or a copy leaves has whatever name it had. */
export const removeShape = (value: unknown) => ({
  host,
  pool,
  format,
  wipe: flag,
  requestedBy,
  volume: isObject(value) && (value['left'] ?? value['copies']) ? foundVolume : volume,
  left: byDefault(either(isNull, left), null),
  copies: byDefault(either(isNull, copies), null),
});

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Somebody else's text as a part of a line, whatever is in it. */
export const quoted = (words: string) =>
  JSON.stringify(words.slice(0, 50)).replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '?');

/** What is wrong with a request, a sentence each. */
export function faultsOf(shape: Shape, value: unknown): string[] {
  if (!isObject(value)) return ['it is no object'];
  const unknown = Object.keys(value).filter((key) => !Object.hasOwn(shape, key));
  const wrong = Object.keys(shape).filter((key) => {
    const { is, or } = shape[key] as Field;
    return value[key] === undefined ? !or : !is(value[key]);
  });
  return [
    ...unknown.map((key) => `${quoted(key)} is not known`),
    ...wrong.map((key) => `${key} is ${value[key] === undefined ? 'missing' : 'not allowed'}`),
  ];
}

/** A request without faults, with its defaults. */
export function withDefaults(shape: Shape, value: unknown): object {
  const given = value as Record<string, unknown>;
  const fields = Object.entries(shape).map(([key, { or }]) => [key, given[key] ?? or?.value]);
  return Object.fromEntries(fields.filter(([, found]) => found !== undefined)) as object;
}
