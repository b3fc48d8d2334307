/** Starts a LiveMerge, or attaches to the same request that runs already. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { operationId, ORCHESTRATOR_QUEUE, searchAttributes } from '../workflows/contract.ts';
import { requestWords } from '../workflows/request-words.ts';
import {
  liveMergeInput,
  type LiveMergeInput,
  type LiveMergeRequest,
} from '../workflows/schemas.ts';
import { z } from 'zod';
import { BlockflowError, usage } from './client-failure.ts';
import { createOperation, type Operation } from './operation.ts';
import { viewOperation } from './operation-view.ts';
import { registerSearchAttributes } from './search-attributes.ts';
import { call, grpcStatus, isNotFound, type Session } from './session.ts';
import { requester } from './requester.ts';
import { progressWords } from './render/progress-line.ts';

/** A merge as a client asks for it; without a host it is the session's. */
export type MergeRequest = Omit<LiveMergeRequest, 'host'> & { host?: string };

const START_MS = 10_000;
const INVALID_ARGUMENT = 3;

/** @throws BlockflowError Usage for a request that cannot be understood. */
export function completeRequest(session: Session, request: MergeRequest): LiveMergeInput {
  const whole = { host: session.host, requestedBy: requester(), ...request };
  const parsed = liveMergeInput.safeParse(whole);
  if (parsed.success) return parsed.data;
  const now = z
    .prettifyError(parsed.error)
    .replaceAll('✖ ', '')
    .replaceAll(/\n\s*→ /g, ' ');
  throw usage(`merging ${request.vm}/${request.disk}`, now, 'See `blockflow merge --help`');
}

/** @throws BlockflowError `other-operation` when another request runs on the disk. */
export async function startMerge(session: Session, request: MergeRequest): Promise<Operation> {
  const input = completeRequest(session, request);
  const id = operationId(input);
  for (;;) {
    try {
      const handle = await call(session, `starting the merge of ${id}`, START_MS, () =>
        startOrRegister(session, input),
      );
      return createOperation(session, handle, {
        runId: handle.firstExecutionRunId,
        attached: false,
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    const running = await attach(session, input);
    if (running) return running;
  }
}

async function startOrRegister(session: Session, input: LiveMergeInput) {
  try {
    return await start(session, input);
  } catch (error) {
    if (grpcStatus(error) !== INVALID_ARGUMENT) throw error;
    await registerSearchAttributes(session, error);
    return await start(session, input);
  }
}

function start({ client }: Session, input: LiveMergeInput) {
  const values = { vm: input.vm, disk: input.disk, host: input.host, operation: 'LiveMerge' };
  return client.workflow.start('LiveMerge', {
    workflowId: operationId(input),
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
    staticSummary: oneLine(`${requestWords(input)} on ${input.host}`),
    staticDetails: detailsOf(input),
    memo: { request: requestKey(input) },
  });
}

/**
 * Equal keys are the same request. The limit is not part of it, it can be changed while the merge
 * runs; nor is who asks, or what to do with a busy disk, which is over once the merge runs.
 */
export function requestKey(input: LiveMergeInput): string {
  const { host, onVmStop, waitForDecision } = input;
  return JSON.stringify({ request: requestWords(input), host, onVmStop, waitForDecision });
}

/** @returns null when the operation ended meanwhile, so that starting can be tried again. */
async function attach(session: Session, input: LiveMergeInput): Promise<Operation | null> {
  const id = operationId(input);
  const handle = session.client.workflow.getHandle(id);
  try {
    const found = await call(session, `attaching to ${id}`, START_MS, () => handle.describe());
    if (found.status.name !== 'RUNNING') return null;
    const { runId, memo } = found;
    if (memo?.['request'] === requestKey(input)) {
      const ofRun = session.client.workflow.getHandle(id, runId);
      return createOperation(session, ofRun, { runId, attached: true });
    }
    throw await otherOperation(session, input, await found.staticSummary());
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

async function otherOperation(session: Session, input: LiveMergeInput, summary?: string) {
  const id = operationId(input);
  const view = await viewOperation(session, session.client.workflow.getHandle(id));
  return new BlockflowError('Refused', {
    code: 'other-operation',
    attempted: requestWords(input),
    now: `another operation runs on ${id}: ${summary ?? 'LiveMerge'} (${progressWords(view)})`,
    next: `Wait for it (\`blockflow status ${id}\`) or end it (\`blockflow cancel ${id}\`)`,
  });
}

/** Temporal refuses a summary of more than 200 bytes. */
function oneLine(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= 200) return text;
  return `${bytes
    .subarray(0, 196)
    .toString('utf8')
    .replace(/\uFFFD$/, '')}…`;
}

function detailsOf(input: LiveMergeInput): string {
  const limit = input.bandwidthBytesPerSecond;
  const rows = [
    ['Request', `\`${requestWords(input)}\``],
    ['Host', input.host],
    ['Asked by', input.requestedBy],
    ['Asked at', new Date().toISOString()],
    ['Limit', limit === 0 ? 'none' : `${limit} bytes/s`],
    [
      'When the VM stops',
      input.onVmStop === 'fail' ? 'fails, the chain unchanged' : 'goes on cold',
    ],
    ['To cancel', `\`blockflow cancel ${operationId(input)}\`, or Request Cancellation here`],
    ['Never terminate', 'a terminated merge leaves its job; the same request again adopts it'],
  ];
  const cells = rows.map(([key, value]) => `| ${key} | ${value?.replaceAll('|', '\\|')} |`);
  return ['| Merge | of a disk snapshot |', '|---|---|', ...cells].join('\n');
}
