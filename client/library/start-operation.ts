/**
 * Starts a workflow under the name of its disk or image, or attaches to the same request that runs
 * already.
 */
import { WorkflowExecutionAlreadyStartedError, type WorkflowHandle } from '@temporalio/client';
import {
  DISK_LOCK,
  ORCHESTRATOR_QUEUE,
  searchAttributes,
} from '../../workflows/operation/contract.ts';
import { oneLine } from '../../workflows/operation/words.ts';
import type { AnyKind, CommonRequest, KindResult } from '../../workflows/operation/kind.ts';
import { requestPage } from '../../workflows/operation/page.ts';
import { BlockflowError } from './failure.ts';
import { openOperation, type Operation } from './operation.ts';
import { completeRequest } from './requests.ts';
import { viewOperation } from './operation-view.ts';
import { progressWords } from './progress-words.ts';
import { registerSearchAttributes, untilSearchAttributesAreKnown } from './search-attributes.ts';
import { call, grpcStatus, INVALID_ARGUMENT, isNotFound, type Session } from './session.ts';
import { shell } from '../../workflows/operation/names.ts';

/** What is sent to start a workflow. */
interface Start {
  type: string;
  id: string;
  input: { host: string };
  /** The request as one would type it. */
  words: string;
  /** Equal keys are the same request. */
  key: string;
  subject: { vm: string; disk: string };
  /** The part of the page in the Web UI that never changes. */
  details: string;
}

function startOf(kind: AnyKind, input: CommonRequest): Start {
  const words = kind.words(input);
  const request = { request: words, host: input.host, ...kind.distinction(input) };
  return {
    type: kind.type as string,
    id: kind.id(input),
    input,
    words,
    key: JSON.stringify(request),
    subject: kind.subject(input),
    details: requestPage(kind, input),
  };
}

interface Started {
  handle: WorkflowHandle;
  runId: string;
  attached: boolean;
}

const START_MS = 10_000;

/**
 * @throws BlockflowError `other-operation` when another request runs under this id; Usage for a
 * request that cannot be understood
 */
export async function startOperation<K extends AnyKind>(
  session: Session,
  kind: K,
  request: object,
): Promise<Operation<KindResult<K>>> {
  const start = startOf(kind, completeRequest(session, kind, request));
  const { handle, ...facts } = await startOrAttach(session, start);
  return openOperation(session, handle, facts, kind);
}

async function startOrAttach(session: Session, start: Start): Promise<Started> {
  for (;;) {
    try {
      const handle = await call(session, `starting ${start.words}`, START_MS, () =>
        startOrRegister(session, start),
      );
      return { handle, runId: handle.firstExecutionRunId, attached: false };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    const running = await attach(session, start);
    if (running) return running;
  }
}

async function startOrRegister(session: Session, start: Start) {
  try {
    return await begin(session, start);
  } catch (error) {
    if (grpcStatus(error) !== INVALID_ARGUMENT) throw error;
    await registerSearchAttributes(session);
    await untilSearchAttributesAreKnown(session);
    // The time of the first try may be over.
    return await call(session, `starting ${start.words}`, START_MS, () => begin(session, start));
  }
}

function begin({ client }: Session, start: Start) {
  const { type, id, input, words, key, subject, details } = start;
  const { host } = input;
  const values = { ...subject, host, operation: type };
  return client.workflow.start(type, {
    workflowId: id,
    taskQueue: ORCHESTRATOR_QUEUE,
    workflowIdConflictPolicy: 'FAIL',
    args: [input],
    typedSearchAttributes: [
      ...(['vm', 'disk', 'host', 'operation'] as const).map((name) => ({
        key: searchAttributes[name],
        value: values[name],
      })),
      { key: searchAttributes.phase, value: 'planning' },
    ],
    staticSummary: oneLine(`${words} on ${host}`),
    staticDetails: details,
    memo: { request: key },
  });
}

/** @returns null when the operation ended meanwhile, so that starting can be tried again. */
async function attach(session: Session, { id, key, words }: Start): Promise<Started | null> {
  const handle = session.client.workflow.getHandle(id);
  try {
    const found = await call(session, `attaching to ${id}`, START_MS, () => handle.describe());
    if (found.status.name !== 'RUNNING') return null;
    const { runId, memo } = found;
    if (memo?.['request'] === key) {
      return { handle: session.client.workflow.getHandle(id, runId), runId, attached: true };
    }
    const summary = (await found.staticSummary()) ?? found.type;
    if (found.type === DISK_LOCK) throw otherOperation({ id, words }, summary);
    const view = await viewOperation(session, handle);
    if (view.state !== 'running') return null;
    throw otherOperation({ id, words }, `${summary} (${progressWords(view)})`);
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

function otherOperation({ id, words }: Pick<Start, 'id' | 'words'>, what: string) {
  return new BlockflowError('Refused', {
    code: 'other-operation',
    attempted: words,
    now: `another operation runs on ${id}: ${what}`,
    next:
      `Wait for it (${shell`blockflow status ${id}`}) or end it ` +
      `(${shell`blockflow cancel ${id}`})`,
  });
}
