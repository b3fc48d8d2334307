/** Valid values of a zod schema, made from the schema itself, so that a new field is in them. */
import { z } from 'zod';
import * as patterns from '../../workflows/operation/names.ts';
import type { Chance } from './hostile.ts';

/** Samples by pattern: a schema with a new one fails here until it has its own. */
const SAMPLES = new Map<string, readonly string[]>(
  (
    [
      [patterns.LIBVIRT_NAME, ['web1', 'a b ', '日本', "it's; x"]],
      [patterns.SNAPSHOT_NAME, ['s1', '--name', ' b']],
      [patterns.DISK_TARGET, ['vda', 'sdb']],
      [patterns.VOLUME_PATH, ['/pools/images/a.qcow2', '/x', "/a b/it's <é>:1", '/pools/..a']],
      [patterns.VOLUME_NAME, ['a.qcow2', '/pools/images/a.qcow2', 'vda[2]']],
      [patterns.HOST_NAME, ['h1', 'host-2.example.org']],
      [patterns.FILE_IDENTITY, ['1:2', '64768:131']],
      [patterns.FILE_NAME, ['a.qcow2', 'b c']],
      [patterns.FOUND_FILE_NAME, ['a.qcow2', '.b', '-c', '..d']],
      [patterns.BACKING_NAME, ['a.qcow2', '../b', '/x/c:d', './e:f']],
      [patterns.PLAIN_TEXT, ['images', '', 'a "b" <c>']],
      [patterns.UUID, ['3f0c1d2e-8a7b-4c5d-9e6f-001122334455']],
      [/^[a-z]+(?:-[a-z]+)*$/, ['started', 'already-done']],
      [/^\d+$/, ['0', '1795268118000000000']],
      [/^\d*$/, ['', '17']],
      [/^[A-Za-z0-9._-]{1,200}$/, ['run-started']],
    ] as const
  ).map(([pattern, samples]) => [pattern.source, samples]),
);

/** Of zod or of zod/mini. */
export type Schema = z.core.$ZodType;

/** What zod tells of a schema; only the parts that are read here. */
interface Def {
  type: string;
  format?: string;
  shape?: Record<string, Schema>;
  element?: Schema;
  innerType?: Schema;
  options?: Schema[];
  entries?: Record<string, string>;
  values?: unknown[];
  checks?: { _zod: { def: { check: string; pattern?: RegExp; minimum?: number } } }[];
}
const defOf = (schema: Schema) => schema._zod.def as unknown as Def;

/** @throws when the schema has a kind or pattern of which no value is known */
export function validValue(schema: Schema, chance: Chance): unknown {
  for (let attempt = 0; attempt < 200; attempt++) {
    const value = draw(schema, chance);
    // A rule over several fields may refuse what each of them allows.
    if (z.safeParse(schema, value).success) return value;
  }
  throw new Error('no valid value found: teach valid-values.ts the new kind of schema');
}

function draw(schema: Schema, chance: Chance): unknown {
  const def = defOf(schema);
  const inner = () => draw(def.innerType as Schema, chance);
  switch (def.type) {
    case 'object':
      return drawObject(def.shape ?? {}, chance);
    case 'array':
      return Array.from({ length: chance.below(6) === 0 ? 2 : 1 }, () =>
        draw(def.element as Schema, chance),
      );
    case 'union':
      return draw(chance.pick(def.options ?? []), chance);
    case 'nullable':
      return chance.below(3) === 0 ? null : inner();
    case 'optional':
    case 'default':
      return chance.below(3) === 0 ? undefined : inner();
    case 'enum':
      return chance.pick(Object.values(def.entries ?? {}));
    case 'literal':
      return chance.pick(def.values ?? []);
    case 'boolean':
      return chance.below(2) === 0;
    case 'number':
      return chance.pick([0, 1, 512, 2 ** 40]);
    case 'string':
      return drawText(def, chance);
    default:
      throw new Error(`no values of ${def.type} are known`);
  }
}

function drawObject(shape: Record<string, Schema>, chance: Chance): object {
  const fields = Object.entries(shape).map(([key, field]) => [key, draw(field, chance)]);
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined)) as object;
}

function drawText({ format, checks = [] }: Def, chance: Chance): string {
  if (format === 'datetime') return '2026-01-01T00:00:00.000Z';
  const found = checks.flatMap(({ _zod: { def } }) => def.pattern ?? []);
  const samples = found.map(({ source }) => SAMPLES.get(source));
  if (samples.includes(undefined)) throw new Error(`no sample of ${String(found)}`);
  return chance.pick(samples[0] ?? ['any text', 'x']);
}
