/**
 * Bad input at the door of every activity: it is refused as a whole and nothing is touched, or all
 * that comes in is what the contract allows.
 */
import { describe, expect, it } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/common';
import { z } from 'zod';
import type { Effect } from '../../activities/door/effect.ts';
import { createHostActivities } from '../../activities/host/index.ts';
import type { HostDeps } from '../../activities/host/deps.ts';
import { createOrchestratorActivities } from '../../activities/orchestrator/index.ts';
import { implement } from '../../activities/door/implement.ts';
import { failureDetails } from '../../workflows/operation/failures.ts';
import { tables } from '../support/tables.ts';
import { createStorageActivities } from '../../activities/storage/index.ts';
import { drawn, seed } from '../support/sample.ts';
import { notAllowed } from './allowed.ts';
import { anyJson, createChance, mutate, type Chance } from './hostile.ts';
import { validValue } from './valid-values.ts';

const INPUTS = drawn(10_000);
const json = anyJson(seed);

/** Whatever an activity would use of the outside is noted here. */
const touched: string[] = [];
const outside = (what: string): never =>
  new Proxy({} as never, {
    get(_, key) {
      touched.push(`${what}.${String(key)}`);
      throw new Error('touched');
    },
  });
const effect: Effect = (name) => {
  touched.push(name);
  return Promise.reject(new Error('touched'));
};
const libvirt = outside('libvirt');
const deps = {
  host: 'h1',
  machine: 'm1',
  installation: '',
  runtimeDir: '/nowhere',
  stateDir: '/nowhere',
  effect,
  libvirt,
};
const hostDeps: HostDeps = {
  ...deps,
  watch: outside('watch'),
  pivots: outside('pivots'),
  turns: outside('turns'),
};

type Activities = Record<string, (input: unknown) => Promise<unknown>>;
const roles: Record<string, { activities: object; schemas: object }> = {
  host: {
    activities: createHostActivities(hostDeps),
    schemas: tables.host,
  },
  storage: {
    activities: createStorageActivities(deps),
    schemas: tables.storage,
  },
  orchestrator: {
    activities: createOrchestratorActivities({ effect, folder: '/nowhere' }),
    schemas: tables.orchestrator,
  },
};
const cases = Object.entries(roles).flatMap(([role, { activities, schemas }]) =>
  Object.entries(activities as Activities).map(([name, run]) => {
    const schema = (schemas as Record<string, { input: z.ZodType } | undefined>)[name]?.input;
    return { role, name, run, schema: schema as z.ZodType };
  }),
);

/** The failure that it throws at once; null when it is let in. */
function refusalOf(run: (input: unknown) => unknown, input: unknown): unknown {
  try {
    const result = run(input);
    if (result instanceof Promise) result.catch(() => undefined);
    return null;
  } catch (error) {
    return error;
  }
}
/** What is wrong in nothing but an unknown field may come from a newer orchestrator. */
const isTyped = (error: unknown) =>
  failureDetails(error)?.details.code === 'agent-too-old' ||
  (error instanceof ApplicationFailure && error.type === 'Bug' && error.nonRetryable === true);

describe.each(cases)('$role: $name', ({ run, schema }) => {
  it('has a schema, and refuses another shape without touching anything', () => {
    expect(schema).toBeDefined();
    touched.length = 0;
    const shapes = [5, 'x', [], { extra: 1 }, { plan: null }, JSON.parse('{"__proto__":{}}')];
    for (const input of shapes as unknown[]) {
      expect([input, isTyped(refusalOf(run, input))]).toEqual([input, true]);
    }
    expect(touched).toEqual([]);
  });
});

/** Several activities may have one contract. */
const contracts = [...Map.groupBy(cases, ({ schema }) => schema)].map(([schema, sharing]) => ({
  schema,
  names: sharing.map(({ name }) => name).join(', '),
}));

describe.each(contracts)('The contract of $names', ({ names, schema }) => {
  it(`takes of ${INPUTS} generated inputs only what it allows`, () => {
    const chance = createChance(seed);
    const valid = Array.from({ length: 40 }, () => validValue(schema, chance));
    let taken: unknown;
    const take = (input: unknown) => Promise.resolve(void (taken = input));
    const table = { it: { input: schema, result: z.any(), beats: 'never' } } as const;
    const guarded = implement(table, null, { it: take });
    const counts = { taken: 0, refused: 0 };
    for (let n = 0; n < INPUTS; n++) {
      const input = inputOf(n, valid, chance);
      const refusal = refusalOf(guarded.it, input);
      const untyped = isTyped(refusal) ? [] : [(refusal as Error | null)?.message ?? ''];
      const faults = refusal === null ? notAllowed(taken) : untyped;
      if (faults.length > 0) throw new Error(shown(n, String(faults), input));
      counts[refusal === null ? 'taken' : 'refused'] += 1;
    }
    // A generator whose inputs are all refused, or all taken, would show nothing.
    expect([names, counts.refused > INPUTS / 10]).toEqual([names, true]);
    expect([names, counts.taken > INPUTS / 30]).toEqual([names, true]);
  });
});

/** Any JSON, a valid input as it is, or with one change. */
function inputOf(n: number, valid: readonly unknown[], chance: Chance): unknown {
  if (n % 5 === 0) return chance.pick(json);
  return n % 20 === 1 ? chance.pick(valid) : mutate(chance.pick(valid), chance);
}

const shown = (n: number, faults: string, input: unknown) =>
  `BLOCKFLOW_SEED=${seed}, input ${n}: ${faults} of ${JSON.stringify(input)?.slice(0, 2000)}`;
