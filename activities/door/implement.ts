/**
 * Activities as a worker serves them: each behind its input's schema and the guard of its agent,
 * beating as its table says (`workflows/operation/activities.ts`).
 */
import { z } from 'zod';
import type { Activities, InputOf, ResultOf, Table } from '../../workflows/operation/activities.ts';
import { cureOf } from '../../workflows/operation/cure.ts';
import { bug, givenUp, refused } from '../../workflows/operation/failures.ts';
import { attempt, type Show } from './attempt.ts';
import { filesOf, type NamedFiles } from './files-of.ts';
import { agentTooOld, unknownFields } from './newer-orchestrator.ts';
import { lastingIn } from './lasting.ts';

/** The activities of a table, as functions of what was parsed. */
export type Implementations<T extends Table> = {
  [K in keyof T]: (input: InputOf<T, K>, show: Show) => Promise<ResultOf<T, K>>;
};

/** What an activity is about to act on. */
export interface Intent extends NamedFiles {
  activity: string;
  /** Of the job whose folders in pools it uses; null without one. */
  jobId: string | null;
}

/**
 * Looks, before an activity begins, whether it is meant for this agent, and may act on what its
 * input names. Null: the activities of the table look by themselves.
 * @throws when it may not; nothing was touched then
 */
export type Guard = ((intent: Intent) => Promise<void>) | null;

/** What does not fit a schema is an error of ours, or is for a newer agent: nothing is touched. */
export function implement<T extends Table>(
  table: T,
  guard: Guard,
  implementations: Implementations<T>,
): Activities<T> {
  const served = Object.entries(table).map(([name, { input: schema, beats, files }]) => {
    const run = implementations[name] as (input: unknown, show: Show) => Promise<unknown>;
    const acts = name.startsWith('ensure') && files !== 'only compared';
    const allowed = async (input: unknown, show: Show) => {
      if (guard) await guard(intentOf({ activity: name, acts }, schema, input));
      return run(input, show);
    };
    const work = attempt(allowed, beats);
    const parsed = (raw: unknown) => {
      const { success, data, error } = z.safeParse(schema, raw ?? {});
      if (!success) throw refusalOf(name, error);
      // What was parsed, with its defaults, and nothing else.
      const working = work(data);
      // The audit log's own folder is another matter: no event may be lost.
      return beats === 'never' ? working : working.catch(endLasting(name));
    };
    return [name, parsed];
  });
  return Object.fromEntries(served) as Activities<T>;
}

function intentOf(
  { activity, acts }: { activity: string; acts: boolean },
  schema: z.core.$ZodType,
  input: unknown,
): Intent {
  const { jobId = null } = input as { jobId?: string };
  const { hosts, ...files } = filesOf(schema, input);
  return { activity, jobId, hosts, ...(acts ? files : { volumes: [], folders: [] }) };
}

/**
 * Only an attempt to plan is refused: a proof comes after what it proves. Whether the operation
 * ends here is the workflow's matter (`workflows/operation/agents.ts`).
 */
const endLasting = (name: string) => (error: unknown) => {
  const lasting = lastingIn(error);
  if (lasting === null) throw error;
  const { said, code } = lasting;
  const now = `${said}, which does not pass by itself`;
  const words = { attempted: `step ${name}`, now, next: cureOf(said, 'Fix that') };
  const isPlan = name.startsWith('observe') && !name.endsWith('Proof');
  throw isPlan ? refused(code, words) : givenUp(words, error);
};

function refusalOf(name: string, error: z.core.$ZodError) {
  const unknown = unknownFields(error.issues);
  if (unknown) return agentTooOld(name, shortly(unknown.join(', ')));
  return bug(`the input of ${name} has another shape: ${shortly(z.prettifyError(error))}`);
}

/** Of a hostile input every key can be wrong. */
const shortly = (words: string) => words.slice(0, 1000);
