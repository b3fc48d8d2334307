/**
 * Recorded histories against the code of today: the same commands, the same shapes, the same
 * endings.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { z } from 'zod';
import { workflowSource } from '../../worker/bundle.ts';
import { kindNames, kinds, type KindName } from '../../workflows/kinds.ts';
import { operationRequests, tables, type Schema } from '../support/tables.ts';
import { BUNDLES } from '../support/host/host-folder.ts';
import {
  allRecordings,
  decode,
  historiesFolder,
  imageRecordings,
  payloadTexts,
  recordedText,
  recordings,
  recordingNames,
  snapshotRecordings,
  type Ending,
  type RecordedFailure,
  type RecordedHistory,
  type RecordingName,
} from './recorded.ts';

const logger = new DefaultLogger('ERROR', () => undefined);
beforeAll(() => {
  const filter = 'off';
  Runtime.install({ logger, telemetryOptions: { logging: { filter, forward: {} } } });
});

const historyOf = (name: RecordingName) => JSON.parse(recordedText(name)) as RecordedHistory;
const attributes = <K extends keyof RecordedHistory['events'][number]>(
  { events }: RecordedHistory,
  key: K,
) => events.flatMap((event) => (event[key] === undefined ? [] : [event[key]]));

/** Every way in which a result of this kind can have come out. */
function outcomesOf(name: KindName): string[] {
  const schema = kinds[name].result() as unknown as { shape: { outcome: { options: string[] } } };
  return [...schema.shape.outcome.options].sort();
}

type Options = Parameters<typeof Worker.runReplayHistories>[0];
/** The errors of replaying every recording, by its name. */
async function replayAll(
  options: Options,
  names: readonly RecordingName[] = recordingNames,
): Promise<Record<string, unknown>> {
  // Under its own id: a request under another one is refused.
  const histories = names.map((name) => {
    const history = historyOf(name);
    const [started] = attributes(history, 'workflowExecutionStartedEventAttributes');
    return { name, workflowId: started?.workflowId ?? name, history };
  });
  const errors: Record<string, unknown> = {};
  for await (const { workflowId, error } of Worker.runReplayHistories(options, histories)) {
    const of = histories.find((one) => one.workflowId === workflowId);
    if (error) errors[of?.name ?? workflowId] = error;
  }
  return errors;
}

describe('The recorded histories', () => {
  it('are those that the recorder makes, one for every outcome of a result', () => {
    const files = readdirSync(historiesFolder).filter((file) => file.endsWith('.json'));
    expect(files.sort()).toEqual(recordingNames.map((name) => `${name}.json`).sort());
    const endings = Object.values<Ending>(recordings);
    const outcomes = new Set(endings.flatMap((e) => ('outcome' in e ? [e.outcome] : [])));
    expect([...outcomes].sort()).toEqual(outcomesOf('LiveMerge'));
    const others = Object.values<Ending>({ ...imageRecordings, ...snapshotRecordings });
    const ends = others.flatMap((e) => ('operation' in e ? [`${e.operation} ${e.outcome}`] : []));
    const kindsOf = kindNames.filter((name) => name !== 'LiveMerge' && name !== 'CopyImage');
    const wanted = kindsOf.flatMap((name) => outcomesOf(name).map((end) => `${name} ${end}`));
    // Moves and copies have one shape of results.
    expect(wanted.filter((end) => !ends.includes(end))).toEqual(['MoveImage copied']);
  });

  it('replay against the code of today', async () => {
    const source = await workflowSource(BUNDLES);
    expect(await replayAll(source)).toEqual({});
  });

  it('do not replay against a workflow with one activity more', async () => {
    const workflowsPath = fileURLToPath(new URL('broken/index.ts', import.meta.url));
    const workflowBundle = await bundleWorkflowCode({ workflowsPath, logger });
    const errors = await replayAll({ workflowBundle });
    expect(Object.keys(errors).sort()).toEqual([...recordingNames].sort());
    for (const error of Object.values(errors)) {
      expect(error).toBeInstanceOf(DeterminismViolationError);
    }
  });
});

const schemas: Record<string, { input: z.core.$ZodType; result: z.core.$ZodType }> = {
  ...tables.host,
  ...tables.storage,
};

const faultsOf = (schema: z.core.$ZodType | undefined, value: unknown) =>
  schema ? z.safeParse(schema, value) : { error: 'none' };

describe.each(recordingNames)('The history of %s', (name) => {
  const history = historyOf(name);

  it('began with a request, and its activities have arguments, of the schemas', () => {
    const [started] = attributes(history, 'workflowExecutionStartedEventAttributes');
    const schema: Schema | undefined = operationRequests[started?.workflowType.name ?? ''];
    expect(decode(started?.input).map((input) => schema?.safeParse(input).success)).toEqual([true]);
    for (const { activityType, input } of attributes(
      history,
      'activityTaskScheduledEventAttributes',
    )) {
      const [value = {}] = decode(input);
      const { error } = faultsOf(schemas[activityType.name]?.input, value);
      expect([activityType.name, error]).toEqual([activityType.name, undefined]);
    }
  });

  it('has results of the schemas', () => {
    const types = new Map(
      history.events.map((event) => [
        event.eventId,
        event.activityTaskScheduledEventAttributes?.activityType.name ?? '',
      ]),
    );
    for (const done of attributes(history, 'activityTaskCompletedEventAttributes')) {
      const type = types.get(done.scheduledEventId) ?? '';
      const [value] = decode(done.result);
      const { error } = faultsOf(schemas[type]?.result, value);
      expect([type, error]).toEqual([type, undefined]);
    }
  });

  it('ended as it should', () => {
    expect(endingOf(history)).toEqual(allRecordings[name]);
  });

  it('names no machine but the private host', () => {
    const text = recordedText(name);
    for (const told of [text, ...payloadTexts(text)]) {
      const names = /@(?!h1\b)[a-z][\w.-]*|file:\/\/\/\S*|\/(?:root|home)\/\S*/g;
      const foreign = told.match(names) ?? [];
      expect(foreign.filter((found) => !found.startsWith('@temporalio'))).toEqual([]);
    }
    const identities = [...text.matchAll(/"identity": ?"([^"]*)"/g)].map((match) => match[1]);
    // Of a signal from another workflow, the server's.
    const known = /^(\w+@h1(:\d+)?|history-service)$/;
    expect(identities.filter((identity) => !known.test(identity ?? ''))).toEqual([]);
  });
});

function endingOf(history: RecordedHistory): Ending | null {
  const [completed] = attributes(history, 'workflowExecutionCompletedEventAttributes');
  const [failed] = attributes(history, 'workflowExecutionFailedEventAttributes');
  const [cancelled] = attributes(history, 'workflowExecutionCanceledEventAttributes');
  const [started] = attributes(history, 'workflowExecutionStartedEventAttributes');
  const operation = (started?.workflowType.name ?? '') as KindName;
  if (completed) {
    const result = kinds[operation].result().parse(decode(completed.result)[0]);
    if ('mode' in result) return { outcome: result.outcome, mode: result.mode };
    return { operation, outcome: result.outcome } as Ending;
  }
  if (failed) return ours(failed.failure);
  return cancelled ? { cancelled: true } : null;
}

/** The first of our failures in the chain of causes. */
function ours({ applicationFailureInfo: info, cause }: RecordedFailure): Ending | null {
  if (!info) return cause ? ours(cause) : null;
  const [details] = decode(info.details) as [{ code: string }];
  return { type: info.type as 'Refused', code: details.code };
}
