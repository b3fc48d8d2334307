/** What a running merge knows of itself besides what every operation does. */
import { hostAgent, spmAgent, type Call } from '../operation/agents.ts';
import {
  operationId,
  statusQuery,
  type HostActivities,
  type OperationStatus,
  type StorageActivities,
} from '../operation/contract.ts';
import { mergeDetails } from '../operation/page.ts';
import { openOperation, statusOf, type Operation } from '../operation/operation.ts';
import { requestWords } from './words.ts';
import type { LiveMergeInput } from '../chain/schemas.ts';

export interface MergeOperation extends Operation<OperationStatus> {
  input: LiveMergeInput;
  host: Call<HostActivities>;
  spm(pool: string): Call<StorageActivities>;
}

const cancel = {
  before: 'the job is ended, the chain stays as it is, nothing is left behind',
  after: 'refused: the switch has been requested, so the merge is completed',
};

export function openMerge(input: LiveMergeInput, jobId: string): MergeOperation {
  const { vm, disk, host, bandwidthBytesPerSecond, requestedBy } = input;
  const about = { operation: 'LiveMerge' as const, vm, disk, host, bandwidthBytesPerSecond };
  const op = openOperation<OperationStatus>(statusOf(about, cancel.before), {
    id: operationId(input),
    jobId,
    words: requestWords(input),
    requestedBy,
    cancel,
    statusQuery,
    detailsOf: mergeDetails,
  });
  return Object.assign(op, {
    input,
    host: hostAgent<HostActivities>(host, op.away),
    spm: (pool: string) => spmAgent(pool, op.away),
  });
}
