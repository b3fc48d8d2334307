/**
 * How activities are declared: once, in one table a room. Workflows take the types of it, agents
 * parse and register by it (`activities/door/implement.ts`), replay tests check histories by it.
 */
import { z } from 'zod';

export interface Declaration {
  input: z.core.$ZodType;
  result: z.core.$ZodType;
  /**
   * Whether it heartbeats every second while it works, does so by itself with what it knows, or
   * ends too soon for any.
   */
  beats: 'while working' | 'by itself' | 'never';
  /**
   * Of a host's `ensure…`: its files are only compared with what libvirt shows, as it must end also
   * where they are in no pool any more. Without it all of them are checked before it begins
   * (`activities/host/pools/boundary.ts`).
   */
  files?: 'only compared';
}
/** Activities by name. */
export type Table = Record<string, Declaration>;

export const defineActivities = <const T extends Table>(table: T): T => table;

const notActedOn = new WeakSet<z.core.$ZodType>();
/** Marks a field whose files and hosts are no business of an activity: they may be in no pool. */
export function notTouched<S extends z.core.$ZodType>(schema: S): S {
  notActedOn.add(schema);
  return schema;
}
export const isNotTouched = (schema: z.core.$ZodType) => notActedOn.has(schema);

/** The input of an activity that waits for its turn: who was started first is served first. */
export const inTurn = <S extends z.ZodRawShape>(input: z.ZodObject<S, z.core.$strict>) =>
  input.extend({
    /** When its operation was started; missing in what an earlier orchestrator scheduled. */
    startedAtMs: z.int().nonnegative().optional(),
  });

/** What an activity of a table takes. */
export type InputOf<T extends Table, K extends keyof T> = z.output<T[K]['input']>;
/** What it answers. */
export type ResultOf<T extends Table, K extends keyof T> = z.output<T[K]['result']>;

/** The activities of a table as functions. */
export type Activities<T extends Table> = {
  [K in keyof T]: (input: InputOf<T, K>) => Promise<ResultOf<T, K>>;
};
/** As a workflow calls them; `summary` is what the Web UI shows. */
export type Agent<T extends Table> = {
  [K in keyof T]: (input: InputOf<T, K>, summary: string) => Promise<ResultOf<T, K>>;
};

/** Every agent answers this at once: who gets an answer knows that the agent is there. */
export const presence = defineActivities({
  observePresence: { input: z.strictObject({}), result: z.void(), beats: 'never' },
});
