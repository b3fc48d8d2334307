/**
 * Bad requests: those of the client, and those that a user starts from the Web UI, at which a
 * workflow looks by itself.
 */
import { describe, expect, it } from '@jest/globals';
import { BlockflowError } from '../../client/library/failure.ts';
import { parseVmOrDisk } from '../../client/cli/arguments/disk-argument.ts';
import { parseImage } from '../../client/cli/arguments/image-argument.ts';
import { parseRate } from '../../client/cli/arguments/rate.ts';
import type { Session } from '../../client/library/session.ts';
import { completeRequest } from '../../client/library/requests.ts';
import { assertChoice } from '../../workflows/operation/steering/decision.ts';
import { assertRate } from '../../workflows/operation/steering/bandwidth.ts';
import { operationRequests, questionRequests } from '../support/tables.ts';
import { faultsOf } from '../../workflows/operation/request/request.ts';
import { kinds } from '../../workflows/kinds.ts';
import { liveMergeInput } from '../../workflows/merge/request.ts';
import { drawn, seed } from '../support/sample.ts';
import { notAllowed } from './allowed.ts';
import { anyJson, createChance, FRAGMENTS, mutate } from './hostile.ts';
import { validValue } from './valid-values.ts';

const INPUTS = drawn(10_000);
const json = anyJson(seed);

const requests = Object.entries({ ...operationRequests, ...questionRequests });

describe.each(requests)('The request of %s', (_, schema) => {
  it(`is taken only as the contract allows it, ${INPUTS} times`, () => {
    const chance = createChance(seed);
    const valid = Array.from({ length: 40 }, () => validValue(schema, chance));
    const counts = { taken: 0, refused: 0 };
    for (let n = 0; n < INPUTS; n++) {
      const input = n % 5 === 0 ? chance.pick(json) : mutate(chance.pick(valid), chance);
      const { success, data, error } = schema.safeParse(input);
      const faults = error ? faultsOf(error) : '';
      const isTold = success || /^[^\p{C}]{3,2500}$/u.test(faults);
      check(n, success ? notAllowed(data) : isTold ? [] : [`it is told as ${faults}`], input);
      counts[success ? 'taken' : 'refused'] += 1;
    }
    expect(counts.taken).toBeGreaterThan(INPUTS / 100);
    expect(counts.refused).toBeGreaterThan(INPUTS / 10);
  });
});

const shown = (n: number, wrong: string, input: unknown) =>
  `BLOCKFLOW_SEED=${seed}, input ${n}: ${wrong} of ${JSON.stringify(input)?.slice(0, 1000)}`;
const check = (n: number, wrong: readonly string[], input: unknown) => {
  if (wrong.length > 0) throw new Error(shown(n, String(wrong), input));
};

/** Either it answers, or it says in a typed way that it does not understand. */
function answerOf<T>(ask: () => T, isTyped: (error: unknown) => boolean): T | null {
  try {
    return ask();
  } catch (error) {
    if (isTyped(error)) return null;
    throw error;
  }
}
const isUsage = (error: unknown) => error instanceof BlockflowError && error.type === 'Usage';

describe('A client', () => {
  it(`takes of ${INPUTS} generated requests only what the contract allows`, () => {
    const chance = createChance(seed);
    const session = { host: 'h1' } as Session;
    const valid = Array.from({ length: 40 }, () => validValue(liveMergeInput, chance));
    for (let n = 0; n < INPUTS; n++) {
      const input = mutate(chance.pick(valid), chance) as { vm: string; disk: string };
      const taken = answerOf(() => completeRequest(session, kinds.LiveMerge, input), isUsage);
      check(n, notAllowed(taken), input);
    }
  });

  const words = ['web1', 'vda', 'web1/vda', 'images/a.qcow2', '200M', '1.5G', 'a/b/removal', '0'];
  it(`reads ${INPUTS} generated words of a command line as a name, a rate, or not at all`, () => {
    const chance = createChance(seed);
    const fragment = () => (chance.below(2) === 0 ? chance.pick(FRAGMENTS) : '');
    for (let n = 0; n < INPUTS; n++) {
      const word = `${fragment()}${chance.pick(words)}${fragment()}${chance.pick(words)}`;
      const disk = answerOf(() => parseVmOrDisk(word), isUsage);
      const image = answerOf(() => parseImage(word), isUsage);
      const rate = answerOf(() => parseRate(word), isUsage);
      check(n, notAllowed({ disk, image, rate }), word);
    }
  });
});

describe('A message to a running operation', () => {
  const isError = (error: unknown) =>
    error instanceof Error && /^say pivot|is not a number of bytes/.test(error.message);
  it(`is one of two words, or a number of bytes, of ${INPUTS} generated ones`, () => {
    const chance = createChance(seed);
    for (let n = 0; n < INPUTS; n++) {
      const input = mutate(chance.pick([...json, 'keep', 'pivot', 0, 2 ** 20]), chance);
      const isRate = answerOf(() => assertRate(input) ?? true, isError) !== null;
      const isChoice = answerOf(() => assertChoice(input) ?? true, isError) !== null;
      const isBytes = typeof input === 'number' && input >= 0 && Number.isSafeInteger(input);
      const shouldBe = [isBytes, input === 'pivot' || input === 'keep'];
      check(n, [isRate, isChoice].join() === shouldBe.join() ? [] : ['it is misjudged'], input);
    }
  });
});
