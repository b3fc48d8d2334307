/**
 * Requests as any user of the Web UI may start them: with whatever arguments, under whatever id.
 * Each ends by itself in a typed refusal, before an agent was asked for anything.
 */
import { describe, expect, it } from '@jest/globals';
import { RawValue } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import * as workflows from '../../../workflows/index.ts';
import { anyJson, createChance, mutate, type Chance } from '../../input/hostile.ts';
import { validValue } from '../../input/valid-values.ts';
import { drawn, seed } from '../../support/sample.ts';
import { operationRequests, questionRequests, type Schema } from '../../support/tables.ts';
import { TRIED_CACHES, startBench } from '../../support/workflow-bench.ts';
import { use } from '../../support/use.ts';

const REQUESTS = drawn(200);
const AT_ONCE = 20;
const json = anyJson(seed);

const bench = use('the bench', startBench);

const schemas = { ...operationRequests, ...questionRequests };

const payload = (encoding: string, data: string | Buffer) =>
  RawValue.fromPayload({
    metadata: encoding === '' ? {} : { encoding: Buffer.from(encoding) },
    data: Buffer.from(data),
  });
/** What no JSON of the client's can be; the Web UI offers the first of these encodings. */
const PAYLOADS = [
  ...[payload('json/protobuf', '{"vm":"web1"}'), payload('json/plain', '{"vm":')],
  ...[payload('json/plain', ''), payload('json/plain', Buffer.from([0xff, 0xfe, 0x22]))],
  ...[payload('binary/plain', Buffer.alloc(3000, 7)), payload('binary/null', 'x')],
  ...[payload('binary/encrypted', 'x'), payload('', 'x'), payload('\0', '')],
];

interface BadStart {
  workflowId: string;
  args: unknown[];
}

/** `n` says which kind, chance the rest; a request that happens to be good is drawn again. */
function badStart(type: string, n: number, chance: Chance): BadStart {
  // Of these the id is a lock: a good request is refused under another one.
  const schema = schemas[type] as Schema;
  const workflowId = `bad ${type} ${seed} ${n}`;
  const valid = validValue(schema, chance);
  if (n === 0) return { workflowId, args: [] };
  if (n <= PAYLOADS.length) return { workflowId, args: [PAYLOADS[n - 1]] };
  // Under an id that is not its own.
  if (n % 4 === 0 && type in operationRequests) return { workflowId, args: [valid] };
  for (;;) {
    const input = n % 4 === 1 ? chance.pick(json) : mutate(valid, chance);
    const more = chance.below(4) === 0 ? [valid] : [];
    if (!schema.safeParse(asJson(input)).success) return { workflowId, args: [input, ...more] };
  }
}
const asJson = (value: unknown): unknown =>
  value === undefined ? undefined : JSON.parse(JSON.stringify(value));

const { EventType } = temporal.api.enums.v1;
/** A start, workflow tasks none of which failed, and the failure; on a busy machine one is late. */
const ALLOWED = /^EVENT_TYPE_WORKFLOW_(EXECUTION_(STARTED|FAILED)|TASK_(?!FAILED))/;

/** Starts it, and returns what is wrong with how it ends. */
async function faultsOf(type: string, taskQueue: string, start: BadStart): Promise<unknown> {
  const handle = await bench.client.workflow.start(type, {
    ...start,
    workflowId: `${start.workflowId} ${taskQueue}`,
    taskQueue,
    // One that hangs would be retried without end.
    workflowRunTimeout: '40 seconds',
  });
  const error: unknown = await handle.result().catch((failed: unknown) => failed);
  const { events } = await handle.fetchHistory();
  const history = events?.map(({ eventType }) => EventType[Number(eventType)]);
  const failure = failureDetails(error);
  const { attempted = '', now = '', next = '' } = failure?.details ?? {};
  const isRefused = failure?.type === 'Refused' && failure.details.code === 'invalid-request';
  const isTold =
    attempted === `reading the request of ${type}` &&
    /^[^\p{C}]{3,2500}; nothing was done$/u.test(now) &&
    next.includes('`blockflow` command');
  const isAllowed = history?.every((event) => ALLOWED.test(event ?? ''));
  return isRefused && isTold && isAllowed ? null : { failure, error: String(error), history };
}

describe.each(TRIED_CACHES)('A bad request, $cache,', (cache) => {
  it.each(Object.keys(workflows).sort())(
    `of %s is refused with the reason, ${REQUESTS} times, and nothing is asked of an agent`,
    async (type) => {
      const chance = createChance(seed);
      const starts = Array.from({ length: REQUESTS }, (_, n) => badStart(type, n, chance));
      const found: unknown[] = [];
      for (let n = 0; n < REQUESTS; n += AT_ONCE) {
        const some = starts.slice(n, n + AT_ONCE).map(async (start, i) => {
          const faults = await faultsOf(type, cache.cache, start);
          if (faults !== null) found.push({ seed, n: n + i, start, faults });
        });
        await Promise.all(some);
      }
      expect(found).toEqual([]);
    },
  );

  it('for a limit, in an unknown encoding, is refused; the merge goes on', async () => {
    const vm = bench.addVm();
    const ready = bench.gate(vm, 'awaitCommitReady');
    const merge = await bench.merge(vm, cache);
    await ready.reached;
    const update = merge.executeUpdate('bandwidth', { args: [PAYLOADS[0]] });
    await expect(update).rejects.toMatchObject({
      cause: { message: expect.stringContaining('is not a number of bytes') },
    });
    ready.open();
    expect(await merge.result()).toMatchObject({ outcome: 'merged' });
  });
});
