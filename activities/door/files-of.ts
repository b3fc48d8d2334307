/**
 * The files and hosts that an input names, found by its schema: a field of an absolute path is a
 * file, wherever it is, so that no activity can have one that its door does not see.
 */
import { z } from 'zod';
import { isNotTouched } from '../../workflows/operation/activities.ts';
import { hostName, poolFolder, volumePath } from '../../workflows/operation/names.ts';

type Schema = z.core.$ZodType;

export interface NamedFiles {
  /** Paths of volumes. */
  volumes: string[];
  /** Folders of pools. */
  folders: string[];
  /** Hosts that it is about. */
  hosts: string[];
}

/** What zod tells of a schema; only the parts that are read here. */
interface Def {
  type: string;
  shape?: Record<string, Schema>;
  element?: Schema;
  innerType?: Schema;
  valueType?: Schema;
  options?: Schema[];
}

const LEAVES = ['string', 'number', 'int', 'boolean', 'enum', 'literal', 'void', 'null'];

/** @param value what the schema has let in */
export function filesOf(schema: Schema, value: unknown): NamedFiles {
  const found: NamedFiles = { volumes: [], folders: [], hosts: [] };
  collect(schema, value, found);
  return found;
}

function collect(schema: Schema, value: unknown, found: NamedFiles): void {
  if (value === null || value === undefined || isNotTouched(schema)) return;
  if (schema === volumePath) found.volumes.push(value as string);
  if (schema === poolFolder) found.folders.push(value as string);
  if (schema === hostName) found.hosts.push(value as string);
  for (const [inner, part] of partsOf(schema, value)) collect(inner, part, found);
}

/** @throws for a kind of schema that is not known here: what is in it would be overlooked */
function partsOf(schema: Schema, value: unknown): [Schema, unknown][] {
  const { type, ...def } = schema._zod.def as unknown as Def;
  if (LEAVES.includes(type)) return [];
  const one = def.innerType;
  if (one) return [[one, value]];
  const { shape, element, valueType, options } = def;
  if (shape) {
    const fields = value as Record<string, unknown>;
    return Object.entries(shape).map(([key, field]) => [field, fields[key]]);
  }
  if (element) return (value as unknown[]).map((each) => [element, each]);
  if (valueType) return Object.values(value as object).map((each) => [valueType, each]);
  if (options) {
    return options.filter((each) => z.safeParse(each, value).success).map((each) => [each, value]);
  }
  throw new TypeError(`files in a schema of type ${type} are not looked for`);
}
