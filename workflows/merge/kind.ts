/** LiveMerge as a kind of operation, and what its status and its result say. */
import * as z from 'zod/mini';
import { operationId } from '../chain/references.ts';
import type { StatusOf } from '../operation/contract.ts';
import type { Kind } from '../operation/kind.ts';
import { sizeBytes, uuid, volumePath } from '../operation/names.ts';
import { convergenceWords } from '../operation/steering/convergence-input.ts';
import { fileName, limitWords, sizeWords } from '../operation/words.ts';
import { liveMergeInput, type LiveMergeInput } from './request.ts';
import { mergeWords } from './words.ts';

export type MergePhase =
  | 'waiting for the disk'
  | 'waiting for space'
  | 'copying'
  | 'waiting for a decision'
  | 'pivoting'
  | 'proving'
  | 'deleting';

export interface MergeStatus extends StatusOf<'LiveMerge', MergePhase> {
  /** How it is merged; null before the plan. */
  mode: 'active' | 'inner' | 'cold' | null;
  /** What the committed volumes hold. */
  committedBytes: number;
}

const mergeResult = () =>
  z.strictObject({
    outcome: z.enum(['merged', 'kept', 'already-done']),
    summary: z.string(),
    mode: z.nullable(z.enum(['active', 'inner', 'cold'])),
    jobId: z.nullable(uuid),
    chainBefore: z.array(volumePath),
    chainAfter: z.array(volumePath),
    deleted: z.array(volumePath),
    regainedBytes: sizeBytes,
    committedBytes: sizeBytes,
    /** Guest pause of the pivot; null when there was none or the script that timed it died. */
    stallMs: z.nullable(z.number().check(z.nonnegative())),
    readyToPivotMs: z.nullable(z.number().check(z.nonnegative())),
    warnings: z.array(z.string()),
  });
export type LiveMergeResult = z.infer<ReturnType<typeof mergeResult>>;

export const mergeKind: Kind<'LiveMerge', LiveMergeInput, LiveMergeResult, MergeStatus> = {
  type: 'LiveMerge',
  command: 'merge',
  of: 'a disk snapshot',
  request: liveMergeInput,
  result: mergeResult,
  id: operationId,
  words: mergeWords,
  // Not the limit, which can be changed while the merge runs, nor what to do with a busy disk,
  // which is over once it runs.
  distinction({ onVmStop, waitForDecision, ...wanted }) {
    const convergence = convergenceWords(wanted);
    return { onVmStop, waitForDecision, ...(convergence.length > 0 && { convergence }) };
  },
  subject: ({ vm, disk }) => ({ vm, disk }),
  requestRows: ({ bandwidthBytesPerSecond: limit, onVmStop }) => [
    ['Limit', limit === 0 ? 'none' : limitWords(limit)],
    ['When the VM stops', onVmStop === 'fail' ? 'fails, the chain unchanged' : 'goes on cold'],
    ['Never terminate', 'a terminated merge leaves its job; the same request again adopts it'],
  ],
  jobId: () => null,
  cancel: () => ({
    before: 'the job is ended, the chain stays as it is, nothing is left behind',
    after: 'refused: the switch has been requested, so the merge is completed',
  }),
  untouched: () => 'the job is ended, the chain is unchanged',
  facts: { mode: null, committedBytes: 0 },
  statusRows(status) {
    const { mode, bandwidthBytesPerSecond: limit, committedBytes } = status;
    if (!mode) return [];
    return [
      ['Chain before', chainWords(status.chainBefore)],
      ['Chain wanted', chainWords(status.chainTarget)],
      ['Mode', `${mode}, ${sizeWords(committedBytes)} to commit`],
      ['Limit', limit === 0 ? 'none' : limitWords(limit)],
      ['Job', `\`${status.jobId ?? ''}\``],
    ];
  },
  listed: ['copying'],
  measured: ['copying'],
  pastCopy: ['waiting for a decision', 'pivoting', 'proving', 'deleting', 'finished'],
  parts: {},
};

const chainWords = (paths: string[]) => paths.map((path) => `\`${fileName(path)}\``).join(' ← ');
