/**
 * A workflow's own look at its request, before anything else: the Web UI and Temporal's command
 * line start workflows too, with whatever a user types.
 */
import { workflowInfo } from '@temporalio/workflow';
import type * as z from 'zod/mini';
import { refused } from '../failures.ts';
import type { AnyKind, KindRequest } from '../kind.ts';
import { UnreadableValue } from './unreadable-value.ts';
import { inLine, quoted } from '../words.ts';

/** The request with its defaults. @throws Refused `invalid-request`; nothing was done */
export function readQuestion<T>(schema: z.ZodMiniType<T>, value: unknown): T {
  if (value instanceof UnreadableValue) throw invalid(`it cannot be read: ${quoted(value.reason)}`);
  const { success, data, error } = schema.safeParse(value);
  if (!success) throw invalid(faultsOf(error));
  return data;
}

/**
 * A request of an operation. The id is the lock of the image: under another one, two operations
 * could change it at once.
 */
export function readRequest<K extends AnyKind>(kind: K, value: unknown): KindRequest<K> {
  const request = readQuestion(kind.request, value) as KindRequest<K>;
  const id = kind.id(request);
  if (workflowInfo().workflowId !== id) throw invalid(`its workflow id must be ${id}`);
  return request;
}

const invalid = (why: string) =>
  refused('invalid-request', {
    attempted: `reading the request of ${workflowInfo().workflowType}`,
    now: `${why}; nothing was done`,
    next: 'Start it with the `blockflow` command, whose --help has every option',
  });

interface Issues {
  issues: readonly { path: PropertyKey[]; message: string }[];
}

/** What is wrong with a request, in one line. Of a hostile one every key can be wrong. */
export function faultsOf({ issues }: Issues): string {
  const sentences = issues.map(({ path, message }) => {
    const at = path.map(String).join('.');
    return inLine(at === '' ? message : `${at}: ${message}`).slice(0, 200);
  });
  return sentences.slice(0, 10).join('; ');
}
