/**
 * Activities as a worker serves them: each behind its input's schema, beating as its table says
 * (`workflows/operation/activities.ts`).
 */
import { z } from 'zod';
import type { Activities, InputOf, ResultOf, Table } from '../../workflows/operation/activities.ts';
import { bug, givenUp } from '../../workflows/operation/failures.ts';
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
      const working = work(data);
      // The audit log's own folder is another matter: no event may be lost.
      return beats === 'never' ? working : working.catch(endLasting(name));
    };
    return [name, parsed];
  });
  return Object.fromEntries(served) as Activities<T>;
}

/** What another try meets again: rights, limits and features of a file system. */
const LASTING = new Set([
  ...['EFBIG', 'EROFS', 'EACCES', 'EPERM', 'ENAMETOOLONG', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP'],
]);

/** A person has to change something first, so the attempt is the last one. */
const endLasting = (name: string) => (error: unknown) => {
  const { code = '', syscall, message } = error as NodeJS.ErrnoException;
  if (syscall === undefined || !LASTING.has(code)) throw error;
  throw givenUp(
    {
      attempted: `step ${name}`,
      now: `the file system refuses (${message}), which does not pass by itself`,
      next: 'Fix that (rights, mount options, the largest file), then repeat the request',
    },
    error,
  );
};

/** Those that beat by themselves show by their heartbeats. */
const noShow: Show = () => undefined;

/** Of a hostile input every key can be wrong. */
const shortly = (error: z.core.$ZodError) => z.prettifyError(error).slice(0, 1000);
