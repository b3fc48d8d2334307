import { expect, it } from '@jest/globals';
import { z } from 'zod';
import { unknownFields } from '../../../activities/door/newer-orchestrator.ts';

const disk = z.strictObject({ kind: z.literal('disk'), vm: z.string() });
const volume = z.strictObject({ pool: z.string() });
const schema = z.strictObject({ image: z.union([disk, volume]), plan: z.array(volume) });
const fieldsOf = (value: object) =>
  unknownFields(schema.safeParse({ image: { pool: 'a' }, plan: [], ...value }).error?.issues ?? []);

it.each([
  [{ a: 1, b: 2 }, ['a', 'b']],
  [{ plan: [{ pool: 'a', c: 1 }] }, ['plan.0.c']],
  [{ image: { kind: 'disk', vm: 'web1', d: 1 } }, ['image.d']],
  [{ a: 1, plan: [{ pool: 1 }] }, null],
  [{ image: { kind: 'disk', d: 1 } }, null],
])('The fields of %j that are unknown, with nothing else wrong, are %j', (value, fields) => {
  expect(fieldsOf(value)).toEqual(fields);
});
