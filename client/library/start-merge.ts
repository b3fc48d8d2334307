/** Starts a LiveMerge, or attaches to the same request that runs already. */
import { operationId } from '../../workflows/operation/contract.ts';
import { table } from '../../workflows/operation/page.ts';
import { requestWords } from '../../workflows/merge/words.ts';
import {
  liveMergeInput,
  type LiveMergeInput,
  type LiveMergeRequest,
} from '../../workflows/chain/schemas.ts';
import { z } from 'zod';
import { usage } from './failure.ts';
import { createOperation, type Operation } from './operation.ts';
import { requester } from './requester.ts';
import type { Session } from './session.ts';
import { startOperation } from './start-operation.ts';

/** A merge as a client asks for it; without a host it is the session's. */
export type MergeRequest = Omit<LiveMergeRequest, 'host'> & { host?: string };

/** @throws BlockflowError Usage for a request that cannot be understood. */
export function completeRequest(session: Session, request: MergeRequest): LiveMergeInput {
  const whole = { host: session.host, requestedBy: requester(), ...request };
  const parsed = liveMergeInput.safeParse(whole);
  if (parsed.success) return parsed.data;
  const now = z
    .prettifyError(parsed.error)
    .replaceAll('✖ ', '')
    .replaceAll(/\n\s*→ /g, ' ');
  // From a script anything can come.
  const { vm, disk } = { ...request } as Record<string, unknown>;
  const names = [vm, disk].map((name) => (typeof name === 'string' ? name : '?'));
  throw usage(`merging ${names.join('/')}`, now, 'See `blockflow merge --help`');
}

/** @throws BlockflowError `other-operation` when another request runs on the disk. */
export async function startMerge(session: Session, request: MergeRequest): Promise<Operation> {
  const input = completeRequest(session, request);
  const { vm, disk, host } = input;
  const { handle, ...facts } = await startOperation(session, {
    type: 'LiveMerge',
    id: operationId(input),
    input,
    vm,
    disk,
    host,
    words: requestWords(input),
    key: requestKey(input),
    details: detailsOf(input),
  });
  return createOperation(session, handle, facts);
}

/**
 * Equal keys are the same request. The limit is not part of it, it can be changed while the merge
 * runs; nor is who asks, or what to do with a busy disk, which is over once the merge runs.
 */
export function requestKey(input: LiveMergeInput): string {
  const { host, onVmStop, waitForDecision } = input;
  return JSON.stringify({ request: requestWords(input), host, onVmStop, waitForDecision });
}

function detailsOf(input: LiveMergeInput): string {
  const limit = input.bandwidthBytesPerSecond;
  const onStop = input.onVmStop === 'fail' ? 'fails, the chain unchanged' : 'goes on cold';
  const cancel = `\`blockflow cancel ${operationId(input)}\`, or Request Cancellation here`;
  return table(
    ['Merge', 'of a disk snapshot'],
    [
      ['Request', `\`${requestWords(input)}\``],
      ['Host', input.host],
      ['Asked by', input.requestedBy],
      ['Asked at', new Date().toISOString()],
      ['Limit', limit === 0 ? 'none' : `${limit} bytes/s`],
      ['When the VM stops', onStop],
      ['To cancel', cancel],
      ['Never terminate', 'a terminated merge leaves its job; the same request again adopts it'],
    ],
  );
}
