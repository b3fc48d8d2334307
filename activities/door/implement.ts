/**
 * Activities as a worker serves them: each behind its input's schema, beating as its table says
 * (`workflows/operation/activities.ts`).
 */
import { z } from 'zod';
import type { Activities, InputOf, ResultOf, Table } from '../../workflows/operation/activities.ts';
import { bug } from '../../workflows/operation/failures.ts';
import { beating, type Show } from './attempt.ts';

/** The activities of a table, as functions of what was parsed. */
export type Implementations<T extends Table> = {
  [K in keyof T]: (input: InputOf<T, K>, show: Show) => Promise<ResultOf<T, K>>;
};

/** What does not fit a schema is an error of ours, and nothing is touched. */
export function implement<T extends Table>(
  table: T,
  implementations: Implementations<T>,
): Activities<T> {
  const served = Object.entries(table).map(([name, { input: schema, beats }]) => {
    const run = implementations[name] as (input: unknown, show: Show) => Promise<unknown>;
    const work = beats === 'while working' ? beating(run) : (input: unknown) => run(input, noShow);
    const parsed = (raw: unknown) => {
      const { success, data, error } = z.safeParse(schema, raw ?? {});
      if (!success) throw bug(`the input of ${name} has another shape: ${shortly(error)}`);
      // What was parsed, with its defaults, and nothing else.
      return work(data);
    };
    return [name, parsed];
  });
  return Object.fromEntries(served) as Activities<T>;
}

/** Those that beat by themselves show by their heartbeats. */
const noShow: Show = () => undefined;

/** Of a hostile input every key can be wrong. */
const shortly = (error: z.core.$ZodError) => z.prettifyError(error).slice(0, 1000);
